"""The jobs behind the command line and the Python interface: what a user asks for, done with the rooms below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput, Recording, parse_positive, parse_quantity

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint
    from micrograph.run import Recipe, Result
    from micrograph.simulate import StemSampler
    from micrograph.validate import CheckResult

#: Called with (done, total, what is seen now).
Advance = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str = "") -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Request:
    """What an analysis is asked to do; texts carry units ("0.0176 nm", "2 GB")."""

    recipe: str
    out: Path | None = None
    pixel_size: str | None = None
    frame_time: str | None = None
    frames: str | None = None
    signal: str | None = None
    weights: tuple[Path, ...] = ()
    device: str = "auto"
    memory: str | None = None
    maps: bool = False
    resume: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """A user's own structure and microscope, as given on the command line; all ``None``: the recipe's own."""

    structure: Path | None = None
    zone_axis: str = "001"
    voltage: str | None = None
    pixel_size: str | None = None


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """Return ``key=value`` texts as a dictionary."""
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise BadInput(f"--set was given '{pair}': write it as key=value.")
        settings[key.strip()] = value.strip()
    return settings


def parse_frames(text: str | None, count: int) -> slice:
    """Return "0:100", "5", "10:" or ":20" as a slice of a recording of `count` frames; refuse an empty one."""
    if text is None:
        return slice(None)
    first, separator, last = text.partition(":")
    try:
        start = int(first) if first else 0
        stop = (int(last) if last else count) if separator else start + 1
    except ValueError as error:
        raise BadInput(f"--frames is '{text}': write first:end, for example 0:100.") from error
    if not 0 <= start < min(stop, count):
        raise BadInput(f"--frames is '{text}', which holds no frame of this recording: it has frames 0 to {count - 1}.")
    return slice(start, min(stop, count))


def open_calibrated(path: Path, request: Request) -> Recording:
    """Open a recording with the calibration and the frames that `request` asks for."""
    from micrograph.io import open_recording

    pixel = parse_positive(request.pixel_size, "nm", name="--pixel-size") if request.pixel_size else None
    time = parse_positive(request.frame_time, "s", name="--frame-time") if request.frame_time else None
    recording = open_recording(path, pixel_nm=pixel, frame_time_s=time, signal=request.signal)
    return recording[parse_frames(request.frames, len(recording))]


def analyze_path(path: Path, request: Request, *, into: Path | None, progress: Advance = silent) -> Result:
    """Open `path`, analyse it and, when `into` is a folder, write tables, figures and the report there."""
    from micrograph.recipes import find_recipe

    recipe = find_recipe(request.recipe).with_settings(request.settings)
    return analyze_recording(recipe, open_calibrated(path, request), request, into=into, progress=progress)


def analyze_recording(
    recipe: Recipe, recording: Recording, request: Request, *, into: Path | None, progress: Advance = silent
) -> Result:
    """Analyse an open recording with the weights and budget of `request`."""
    from micrograph.run import RunSettings, analyze, require_calibration

    require_calibration(recipe, recording.calibration)
    predict = _predictor(recipe, request.weights, request.device)
    settings = RunSettings(
        memory_bytes=int(parse_quantity(request.memory, "byte", name="--memory")) if request.memory else None,
        maps=request.maps,
        resume=request.resume,
    )
    result = analyze(recipe, recording, predict, into, settings=settings, progress=progress)
    if into is not None:
        from micrograph.report import write_report

        write_report(result)
    return result


def _predictor(recipe: Recipe, weights: Sequence[Path], device: str) -> Any:
    """Return the predictor of the given weights, or of the recipe's shipped ones."""
    from micrograph.infer import load_predictor

    if weights:
        return load_predictor([str(path) for path in weights], device=device)
    if recipe.model.weights is None:
        raise BadInput(f"Recipe '{recipe.name}' ships no weights: train them and give them with --weights.")
    return load_predictor(recipe.model.weights, device=device)


def demo(out: Path, progress: Advance = silent) -> Result:
    """Analyse the real sample image; offline, a simulated stand-in, and say so."""
    from micrograph.io import sample_file
    from micrograph.recipes import find_recipe

    sample = sample_file()
    if sample.path is not None:
        return analyze_path(sample.path, Request("tmd-defects"), into=out, progress=progress)
    recipe = find_recipe("tmd-defects")
    recording = stand_in(recipe, sample.note)
    return analyze_recording(recipe, recording, Request("tmd-defects"), into=out, progress=progress)


def stand_in(recipe: Recipe, reason: str) -> Recording:
    """Return one simulated image in place of a real one that could not be had, named as simulated."""
    import numpy as np

    from micrograph.core import Calibration

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


def own_sampler(recipe: Recipe, material: Material) -> StemSampler:
    """Return the recipe's sampler, narrowed to the user's structure, voltage and pixel size where given."""
    from micrograph.simulate import StemSampler

    sampler = recipe.data
    assert isinstance(sampler, StemSampler)
    if material.structure is not None:
        from micrograph.recipes.atoms import OwnStructure

        sampler = replace(sampler, structure=OwnStructure(material.structure, material.zone_axis))
    if material.voltage is not None:
        voltage = parse_positive(material.voltage, "kV", name="--voltage")
        sampler = replace(sampler, voltage_kV=(voltage, voltage))
    if material.pixel_size is not None:
        pixel = parse_positive(material.pixel_size, "nm", name="--pixel-size")
        sampler = replace(sampler, pixel_nm=(pixel / 1.25, pixel * 1.25))
    return sampler


def simulate(
    name: str, material: Material, number: int, out: Path, *, seed: int = 0, progress: Advance = silent
) -> None:
    """Write `number` labelled images: ``image-00000.tif`` (float32, pixel size in it), ``.csv`` sites, ``.json`` settings."""
    import numpy as np

    from micrograph.io import write_sample
    from micrograph.recipes import find_recipe

    sampler = own_sampler(find_recipe(name), material)
    out.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
        write_sample(sampler(rng), out / f"image-{index:05d}")
        progress(index + 1, number, "")


def train_model(
    name: str,
    material: Material,
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = True,
    progress: Advance = silent,
) -> Checkpoint:
    """Train a recipe's model on its sampler, narrowed to `material`, and write weights with their card to `out`."""
    from micrograph.recipes import find_recipe
    from micrograph.train import TrainSettings, train

    recipe = find_recipe(name)
    sampler = own_sampler(recipe, material)
    settings = TrainSettings(seed=seed)
    if steps is None and material.structure is not None:
        steps = OWN_MATERIAL_STEPS
    if steps is not None:
        settings = replace(settings, steps=steps)
    return train(
        sampler,
        recipe.model,
        settings,
        out,
        resume=resume,
        progress=lambda done, total, loss: progress(done, total, f"loss {loss:.4f}"),
        card={"recipe": name, "domain": sampler.domain(), "structure": _describe(material)},
    )


#: Steps for one material: less to learn than any lattice; about ten minutes on a laptop.
OWN_MATERIAL_STEPS = 1500


def _describe(material: Material) -> dict[str, str | None]:
    return {
        "structure": material.structure.name if material.structure else None,
        "zone_axis": material.zone_axis,
        "voltage": material.voltage,
        "pixel_size": material.pixel_size,
    }


def validate(
    name: str,
    weights: Sequence[Path] = (),
    *,
    only: str | None = None,
    seed: int = 0,
    record: bool = False,
    progress: Advance = silent,
) -> list[CheckResult]:
    """Measure a recipe against its checks; with `record`, store the numbers in the card of its shipped weights."""
    import numpy as np

    from micrograph.nets import find_weights, update_card
    from micrograph.recipes import find_recipe
    from micrograph.run import analyser
    from micrograph.validate import run_checks

    recipe = find_recipe(name)
    checks = [check for check in recipe.checks if only is None or only in check.name]
    if not checks:
        raise BadInput(f"Recipe '{name}' has no check whose name contains '{only}'.")
    analyse = analyser(recipe, _predictor(recipe, weights, "auto"))
    results = run_checks(checks, analyse, np.random.default_rng(seed), progress)
    if record and recipe.model.weights is not None and not weights:
        update_card(find_weights(recipe.model.weights), measured=[result.as_dict() for result in results])
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
        temporary.write_text(template.replace("NAME", name), encoding="utf-8")
    return path
