"""The jobs behind the command line and the Python interface: what a user asks for, done with the rooms below."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from micrograph.apps.models import CHAINS, predictor, with_own_classes
from micrograph.apps.requests import Request, open_calibrated
from micrograph.core import BadInput, Recording
from micrograph.core.provenance import made_folder

if TYPE_CHECKING:
    from micrograph.run import Elsewhere, Predict, Recipe, Result, RunSettings
    from micrograph.validate import CheckResult

#: Called with (done, total, what is seen now).
Advance = Callable[[int, int, str], None]
#: What a model that was learned from a recording is called in the folder of its results.
MODEL = "model.safetensors"


def silent(done: int, total: int, note: str = "") -> None:
    """Show no progress."""


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
    with hired(recipe, request, tell) as crew:
        if crew is not None:
            crew.prepare(recipe, paths[0], request, folders[0])
        known = None if recipe.learner and not request.weights else predictor(recipe, request.weights, request.device)
        for path, recording, folder in zip(paths, recordings, folders, strict=True):
            shown = progress(recording.name)
            others = None if crew is None else crew.elsewhere(recipe, path, request, folder, shown)
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
    intervals: bool = False,
    progress: Advance = silent,
) -> list[CheckResult]:
    """Measure a recipe against its checks; with `record`, store the numbers that ship with it.

    With `intervals` those of its claims are measured anew, and only the checks of these.
    """
    import numpy as np

    from micrograph.apps.claiming import measure_intervals
    from micrograph.recipes import find_recipe
    from micrograph.run import Analyser
    from micrograph.run.trusting import digest_of
    from micrograph.validate import record_measured, run_checks
    from micrograph.validate.claim_checks import INTERVALS_OF

    recipe = find_recipe(name)
    if record and weights:
        raise BadInput("--record stores the numbers of the shipped weights: leave out --weights, or --record.")
    if not recipe.checks:
        raise BadInput(f"Recipe '{name}' has no checks.")
    only = only or (INTERVALS_OF if intervals else None)
    checks = [check for check in recipe.checks if only is None or only in check.name]
    if not checks:
        known = "; ".join(check.name for check in recipe.checks)
        raise BadInput(f"Recipe '{name}' has no check whose name contains '{only}': its checks are {known}.")
    predict = None if recipe.learner and not weights else predictor(recipe, weights)
    judged = measure_intervals(recipe, predict, record=record, progress=progress) if intervals else recipe
    results = run_checks(checks, Analyser(judged, predict), np.random.default_rng(seed), progress)
    if record:
        record_measured(name, digest_of(recipe, predict), [check.name for check in recipe.checks], results)
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
