"""The jobs behind the command line and the Python interface: what a user asks for, done with the rooms below."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.apps.scans import ENERGY_AXIS, PATTERN_PIXEL, parse_axis, parse_energies, parse_scan
from micrograph.core import BadInput, BrokenCheckpoint, Recording, parse_positive, parse_quantity
from micrograph.core.calibration import UNITS
from micrograph.core.provenance import made_folder

if TYPE_CHECKING:
    from micrograph.infer import Predictor
    from micrograph.run import Elsewhere, Predict, Recipe, Result, RunSettings
    from micrograph.validate import CheckResult

#: Called with (done, total, what is seen now).
Advance = Callable[[int, int, str], None]
#: What a model that was learned from a recording is called in the folder of its results.
MODEL = "model.safetensors"
#: What one is called that was sought and is a text.
CHAINS = "model.toml"
#: In place of the digest of weights where each recording has its own.
LEARNED = "learned from each recording"
#: What an explicit calibration is called on the command line.
OPTIONS = {
    "pixel_nm": "--pixel-size",
    "frame_time_s": "--frame-time",
    "voltage_kV": "--voltage",
    "convergence_mrad": "--convergence",
    "inner_mrad": "--inner",
    "outer_mrad": "--outer",
    "dose_e_per_A2": "--dose",
    "step_nm": "--scan-step",
}


def silent(done: int, total: int, note: str = "") -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Request:
    """What an analysis is asked to do; texts carry units ("0.0176 nm", "2 GB").

    `calibration` holds texts by the names of `Calibration` (``{"voltage_kV": "80 kV"}``); they win over the file's.
    """

    recipe: str
    calibration: Mapping[str, str | None] = field(default_factory=dict)
    frames: str | None = None
    log: Path | None = None
    log_start: str | None = None
    signal: str | None = None
    scan_shape: str | None = None
    raw_layout: str | None = None
    weights: tuple[Path, ...] = ()
    device: str = "auto"
    bin: int | None = None
    memory: str | None = None
    maps: bool = False
    resume: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    cluster: str | None = None

    def run_settings(self) -> RunSettings:
        """Return how to run; raises `BadInput` where `memory` is no amount of memory."""
        from micrograph.run import RunSettings

        memory = None if self.memory is None else int(parse_positive(self.memory, "byte", name="--memory"))
        return RunSettings(memory_bytes=memory, maps=self.maps, resume=self.resume)


def parse_calibration(texts: Mapping[str, str | None]) -> dict[str, float]:
    """Return the given texts as values in our units, all positive; refuse a detector whose rim lies inside its hole."""
    values = {
        name: parse_positive(text, UNITS[name], name=OPTIONS[name])
        for name, text in texts.items()
        if text is not None and name not in (PATTERN_PIXEL, ENERGY_AXIS)
    }
    if values.get("inner_mrad", 0.0) >= values.get("outer_mrad", float("inf")):
        raise BadInput(
            f"--inner is '{texts['inner_mrad']}' and --outer '{texts['outer_mrad']}': the outer angle of the detector "
            "must be greater than the inner one."
        )
    return values


def parse_frames(text: str | None, count: int) -> slice:
    """Return "0:100", "5", "10:" or ":20" as a slice of a recording of `count` frames; refuse an empty one."""
    if text is None:
        return slice(None)
    first, separator, last = text.partition(":")
    try:
        start = int(first) if first or not separator else 0
        stop = (int(last) if last else count) if separator else start + 1
    except ValueError as error:
        raise BadInput(f"--frames is '{text}': write first:end, for example 0:100.") from error
    if not 0 <= start < min(stop, count):
        raise BadInput(f"--frames is '{text}', which holds no frame of this recording: it has frames 0 to {count - 1}.")
    return slice(start, min(stop, count))


def open_calibrated(path: Path, request: Request) -> Recording:
    """Open a recording with the calibration, the log and the frames that `request` asks for."""
    from micrograph.io import open_recording
    from micrograph.recipes import find_recipe

    known = parse_calibration(request.calibration)
    pixel, time = known.pop("pixel_nm", None), known.pop("frame_time_s", None)
    scan, axis = parse_scan(request.scan_shape), parse_axis(request.calibration.get(PATTERN_PIXEL))
    opened = open_recording(
        path,
        pixel_nm=pixel,
        frame_time_s=time,
        signal=request.signal,
        scan_shape=scan,
        raw_layout=request.raw_layout,
        energy_axis=parse_energies(request.calibration.get(ENERGY_AXIS)),
        takes=find_recipe(request.recipe).task.takes if request.recipe else (),
    )
    recording = opened.calibrated(**known, signal_axis=axis)
    return logged_frames(recording, request)


def logged_frames(recording: Recording, request: Request) -> Recording:
    """Return the frames of an open recording that `request` asks for, with its log."""
    from micrograph.io import read_log, with_log

    if request.log is not None:
        recording = with_log(recording, read_log(request.log), log_begins_s(request))
    return recording[parse_frames(request.frames, len(recording))]


def log_begins_s(request: Request) -> float:
    """Return the time of the log at the first frame in s."""
    return parse_quantity(request.log_start, "s", name="--log-start") if request.log_start else 0.0


def analyze_paths(
    paths: Sequence[Path],
    request: Request,
    out: Path,
    progress: Callable[[str], Advance] = lambda name: silent,
    tell: Callable[[str], object] = lambda sentence: None,
) -> Iterator[Result]:
    """Yield the result of each path, with tables, figures and report in `out`, or in a folder of its own below it.

    All recordings are opened before the first is analysed, so that a wrong name costs no time. `progress` gives, for
    the name of a recording, the function that is told how far it is; `tell` is told where workers can be watched.
    """
    from micrograph.apps.crew import hired
    from micrograph.recipes import require_suited

    recipe = recipe_for(request)
    recordings = [open_calibrated(path, request) for path in paths]
    for recording in recordings:
        require_suited(recipe, recording.calibration)
    folders = folders_for(paths, out)
    require_folder(out)
    known = None if recipe.learner and not request.weights else predictor(recipe, request.weights, request.device)
    with hired(recipe, request, tell) as crew:
        for path, recording, folder in zip(paths, recordings, folders, strict=True):
            shown = progress(recording.name)
            others = None if crew is None else crew.elsewhere(path, request, folder, shown)
            yield analyze_opened(
                recipe, recording, request, into=folder, predict=known, progress=shown, elsewhere=others
            )


def recipe_for(request: Request) -> Recipe:
    """Return the recipe that a request asks for, with its settings, and a user's own classes from the weights."""
    from micrograph.recipes import find_recipe

    return with_own_classes(find_recipe(request.recipe), request.weights).with_settings(request.settings)


def analyze_opened(
    recipe: Recipe,
    recording: Recording,
    request: Request,
    *,
    into: Path | None,
    predict: Predict | None = None,
    progress: Advance = silent,
    elsewhere: Elsewhere | None = None,
) -> Result:
    """Analyse an open recording with the weights, the binning and the run settings of `request`.

    The model is `predict`, or the one that the recording teaches or whose weights are given or shipped; `elsewhere`
    works through the frames in place of this process.
    """
    fitting, predict = readied(recipe, recording, request, into=into, predict=predict, progress=progress)
    settings = request.run_settings()
    return analyze_recording(recipe, fitting, predict, settings, into=into, progress=progress, elsewhere=elsewhere)


def readied(
    recipe: Recipe,
    recording: Recording,
    request: Request,
    *,
    into: Path | None,
    predict: Predict | None = None,
    progress: Advance = silent,
) -> tuple[Recording, Predict]:
    """Return the recording as the recipe looks at it, binned as its objects allow, and the model."""
    from micrograph.infer.predictor import unaided
    from micrograph.recipes import require_suited
    from micrograph.run import Preparer, SelfTaught, presented, suitably_binned

    require_suited(recipe, recording.calibration)
    recording = presented(recipe, recording)
    if isinstance(recipe.learner, Preparer | SelfTaught) and request.bin is not None:
        recording = suitably_binned(recipe, recording, unaided, request.bin)
        request = replace(request, bin=None)
    settings = request.run_settings()
    if predict is None and recipe.learner is not None and not request.weights:
        predict = learn_from(recipe, recording, into, settings, progress)
    elif predict is None:
        progress(0, 0, "loading the weights")
        predict = predictor(recipe, request.weights, request.device)
    return suitably_binned(recipe, recording, predict, request.bin), predict


def learn_from(
    recipe: Recipe, recording: Recording, folder: Path | None, settings: RunSettings, progress: Advance = silent
) -> Predict:
    """Return the model of a recipe that learns from the recording itself; its weights stay in the results' folder.

    Without ``settings.resume`` it is trained anew; without a folder the weights are not kept.
    """
    from micrograph.run import Searcher, learned

    name = CHAINS if isinstance(recipe.learner, Searcher) else MODEL
    if folder is None:
        with tempfile.TemporaryDirectory() as lent:
            return learned(recipe, recording, Path(lent) / name, progress)
    weights = made_folder(folder) / name
    if not settings.resume:
        for older in (weights, weights.with_suffix(".ckpt")):
            older.unlink(missing_ok=True)
    return learned(recipe, recording, weights, progress)


def require_folder(path: Path) -> None:
    """Raise `BadInput` where something else stands in the way of the folder `path`; make nothing."""
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise BadInput(f"{there} is a file, so results cannot go into {path}: choose another folder with -o.")


def folders_for(paths: Sequence[Path], out: Path) -> list[Path]:
    """Return the folder of results for each path: `out` itself for one, else one below it, named after the path."""
    if len(paths) == 1:
        return [out]
    for names in ([path.stem for path in paths], [path.name for path in paths]):
        if len(set(names)) == len(paths) and all(names):
            return [out / name for name in names]
    twice = next(path for path in paths if [other.name for other in paths].count(path.name) > 1)
    raise BadInput(f"Two of the recordings are called '{twice.name}': analyse them one by one, each with its own -o.")


def analyze_recording(
    recipe: Recipe,
    recording: Recording,
    predict: Predict,
    settings: RunSettings,
    *,
    into: Path | None,
    progress: Advance = silent,
    elsewhere: Elsewhere | None = None,
) -> Result:
    """Analyse an open recording; write the report too where `into` is a folder."""
    from micrograph.run import analyze

    result = analyze(recipe, recording, predict, into, settings=settings, progress=progress, elsewhere=elsewhere)
    if into is not None:
        write_all(result, progress)
    return result


def write_all(result: Result, progress: Advance = silent) -> Path:
    """Write what a finished run leaves beside its tables: the recipe's own files and the report, which is returned."""
    from micrograph.report import write_report

    if result.recipe.files is not None:
        result.recipe.files(result)
    frames = len(result.recording)
    progress(frames, frames, "writing the report")
    return write_report(result, progress=lambda done, total: progress(done, total, "drawing the movie"))


def with_own_classes(recipe: Recipe, weights: Sequence[Path]) -> Recipe:
    """Return the recipe, or what answers in its place where the weights hold a user's own classes."""
    from micrograph.nets import find_weights, read_card
    from micrograph.nets.prototype_spec import PrototypeSpec

    cards = [read_card(find_weights(path)) for path in weights if path.suffix == ".safetensors"]
    own = [card for card in cards if card.get("net", {}).get("kind") == "prototypes"]
    if not own:
        return _with_painted(recipe, cards)
    if len(weights) > 1:
        raise BadInput(f"Weights of your own classes answer alone: give one of the {len(weights)} files.")
    spec, made_for = PrototypeSpec.from_dict(own[0]["net"]), own[0].get("recipe")
    if recipe.name != made_for and (spec.view or recipe.name != "few-shot"):
        raise BadInput(
            f"The weights '{weights[0].name}' were made for recipe '{made_for}': analyse with that one, or train "
            f"'{recipe.name}' on your folder of classes."
        )
    from micrograph.recipes.few_shot import with_classes

    return with_classes(recipe, spec)


def _with_painted(recipe: Recipe, cards: Sequence[Mapping[str, Any]]) -> Recipe:
    """Return the recipe with the classes and the least object of weights that learned them from painted masks."""
    from micrograph.nets import NetSpec

    own = [card for card in cards if "classes" in card.get("labels", {}) and card.get("recipe") == recipe.name]
    if not own or not isinstance(recipe.model, NetSpec):
        return recipe
    model = replace(recipe.model, heads=NetSpec.from_dict(own[0]["net"]).heads, weights=None)
    least = min(card["labels"]["least_object_px"] for card in own)
    return replace(recipe, model=model).with_settings({"least_object_px": least})


def predictor(recipe: Recipe, weights: Sequence[Path], device: str = "auto") -> Predictor | Predict:
    """Return the predictor of the given weights, or of the recipe's shipped ones; refuse weights of another kind."""
    from micrograph.infer import load_encoder, load_predictor
    from micrograph.infer.predictor import unaided
    from micrograph.nets import EncoderSpec, NoNet, find_weights, load
    from micrograph.nets.prototype_spec import PrototypeSpec
    from micrograph.run import Searcher, SelfTaught

    if isinstance(recipe.learner, Searcher):
        return recipe.learner.model(_text_of(recipe, weights))
    if isinstance(recipe.learner, SelfTaught):
        raise BadInput(f"Recipe '{recipe.name}' trains on each recording: give --set start=FILE in place of --weights.")
    if isinstance(recipe.model, NoNet):
        return unaided
    if isinstance(recipe.model, PrototypeSpec):
        from micrograph.infer.few_shot import load_prototypes

        own = "views" in recipe.model.looks
        return load_prototypes(
            str(weights[0]), view=None if own else recipe.view, own=recipe.view if own else None, device=device
        )
    if not weights and recipe.model.weights is None:
        raise BadInput(f"Recipe '{recipe.name}' ships no weights: train them and give them with --weights.")
    names = [str(path) for path in weights] or [str(recipe.model.weights)]
    for name in names:
        found = load(find_weights(name)).spec.heads
        if found != recipe.model.heads:
            raise BrokenCheckpoint(
                f"The weights '{name}' look for {_sought(found)}, recipe '{recipe.name}' needs "
                f"{_sought(recipe.model.heads)}: give weights that were trained for it."
            )
    if isinstance(recipe.model, EncoderSpec):
        return load_encoder(names, device=device, view=recipe.view)
    return load_predictor(names, device=device, view=recipe.view)


def _text_of(recipe: Recipe, paths: Sequence[Path]) -> str:
    """Return the text of a model that was sought before; raises `BadInput` where it is not one readable file."""
    if len(paths) != 1:
        raise BadInput(f"Recipe '{recipe.name}' takes one {CHAINS} of an earlier run with --weights, not {len(paths)}.")
    try:
        return paths[0].read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{paths[0]} cannot be read as text: give the {CHAINS} of an earlier run.") from error


def _sought(heads: Sequence[object]) -> str:
    """Return in words what the heads of a network look for."""
    return ", ".join(f"'{getattr(h, 'name', h)}' ({'/'.join(getattr(h, 'labels', ())) or 'region'})" for h in heads)


#: Settings of the demo: what is known of its sample.
DEMO_SETTINGS = {"material": "MoS2", "dopants": "", "substitutes": "Se"}


def demo(out: Path, progress: Advance = silent) -> tuple[Result, str]:
    """Return the analysis of the real sample image and what it is, or that of a simulated stand-in, which says so."""
    from micrograph.io import sample_file
    from micrograph.recipes import find_recipe

    require_folder(out)
    sample, recipe, request = sample_file(), find_recipe("tmd-defects"), Request("tmd-defects")
    if sample.path is None:
        recording, about = stand_in(recipe, sample.note), ""
    else:
        recording, about = open_calibrated(sample.path, request), sample.note
        recipe = recipe.with_settings(DEMO_SETTINGS)
    predict, settings = predictor(recipe, ()), request.run_settings()
    return analyze_recording(recipe, recording, predict, settings, into=out, progress=progress), about


def stand_in(recipe: Recipe, reason: str) -> Recording:
    """Return one simulated image in place of a real one that could not be had, named as simulated."""
    import numpy as np

    from micrograph.core import Calibration
    from micrograph.run import Learner, Preparer, Searcher, SelfTaught

    assert not isinstance(recipe.data, Learner | Searcher | Preparer | SelfTaught)
    sample = recipe.data(np.random.default_rng(7))
    note = f"This is a simulated image, not a real one: {reason}"
    return Recording(
        read=lambda index: sample.image,
        indices=range(1),
        calibration=Calibration(pixel_nm=sample.pixel_nm),
        shape=sample.image.shape,
        name="simulated stand-in",
        metadata={"notes": [note]},
    )


def validate(
    name: str,
    weights: Sequence[Path] = (),
    *,
    only: str | None = None,
    seed: int = 0,
    record: bool = False,
    progress: Advance = silent,
) -> list[CheckResult]:
    """Measure a recipe against its checks; with `record`, store the numbers that ship with it."""
    import numpy as np

    from micrograph.recipes import find_recipe
    from micrograph.run import Analyser
    from micrograph.validate import record_measured, run_checks

    recipe = find_recipe(name)
    if record and weights:
        raise BadInput("--record stores the numbers of the shipped weights: leave out --weights, or --record.")
    if not recipe.checks:
        raise BadInput(f"Recipe '{name}' has no checks.")
    checks = [check for check in recipe.checks if only is None or only in check.name]
    if not checks:
        known = "; ".join(check.name for check in recipe.checks)
        raise BadInput(f"Recipe '{name}' has no check whose name contains '{only}': its checks are {known}.")
    predict = None if recipe.learner and not weights else predictor(recipe, weights)
    results = run_checks(checks, Analyser(recipe, predict), np.random.default_rng(seed), progress)
    if record:
        digest = getattr(predict, "digest", LEARNED)
        record_measured(name, digest, [check.name for check in recipe.checks], results)
    return results


def blank_recipe(name: str, folder: Path) -> Path:
    """Write a blank recipe called `name` into `folder`; refuse to overwrite."""
    from micrograph.core.provenance import whole

    module = name.replace("-", "_")
    if not module.isidentifier() or module != module.lower():
        raise BadInput(f"'{name}' cannot name a recipe: use lower-case letters, digits and hyphens.")
    path = folder / f"{module}.py"
    if path.exists():
        raise BadInput(f"{path} exists already: choose another name or remove it.")
    template = Path(__file__).with_name("recipe.py.txt").read_text(encoding="utf-8")
    with whole(path) as temporary:
        temporary.write_text(template.replace("NAME", module.replace("_", "-")), encoding="utf-8")
    return path
