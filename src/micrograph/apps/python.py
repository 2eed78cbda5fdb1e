"""The Python interface: the same jobs as the command line, with recordings and tables as objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.apps import jobs, models, requests
from micrograph.apps.crew import hired
from micrograph.apps.hyperspy_bridge import from_hyperspy as from_hyperspy
from micrograph.apps.hyperspy_bridge import to_hyperspy as to_hyperspy
from micrograph.apps.scans import ENERGY_AXIS, PATTERN_PIXEL
from micrograph.core import BadInput, Recording

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.live.source import Source
    from micrograph.nets import Checkpoint
    from micrograph.run import Recipe, Result
    from micrograph.simulate.scan_paths import ScanPath
    from micrograph.validate import CheckResult


def open(  # the verb that users know
    path: str | Path,
    *,
    frames: str | None = None,
    signal: str | None = None,
    pixel_size: str | None = None,
    frame_time: str | None = None,
    voltage: str | None = None,
    convergence: str | None = None,
    inner: str | None = None,
    outer: str | None = None,
    dose: str | None = None,
    log: str | Path | None = None,
    log_start: str | None = None,
    scan_step: str | None = None,
    pattern_pixel: str | None = None,
    energy_axis: str | None = None,
    scan_shape: str | None = None,
    raw_layout: str | None = None,
) -> Recording:
    """Open a file or folder lazily; texts carry units (``pixel_size="0.0127 nm"``) and win over the file's own.

    convergence: semi-angle of the probe; inner, outer: angles of the detector; dose: of one frame
    ("1e4 e/angstrom^2"); log: table of temperature, bias and the like over time, which stood at `log_start` ("12 s")
    when the first frame was taken. Of 4D-STEM: scan_step between places, pattern_pixel ("0.43 mrad"), scan_shape
    ("64x64") of a series of patterns, raw_layout ("64x64x128x128 uint16") of a file without a head. Of
    spectra: energy_axis, step and first of the energies ("0.01 eV, 0.2 eV"), scan_step.
    Raises `micrograph.core.BadInput` with one sentence when the file cannot be used.
    """
    calibration = {
        "pixel_nm": pixel_size,
        "frame_time_s": frame_time,
        "voltage_kV": voltage,
        "convergence_mrad": convergence,
        "inner_mrad": inner,
        "outer_mrad": outer,
        "dose_e_per_A2": dose,
        "step_nm": scan_step,
        PATTERN_PIXEL: pattern_pixel,
        ENERGY_AXIS: energy_axis,
    }
    book = None if log is None else Path(log)
    request = requests.Request("", calibration, frames=frames, log=book, log_start=log_start, signal=signal)
    request = replace(request, scan_shape=scan_shape, raw_layout=raw_layout)
    return requests.open_calibrated(Path(path), request)


def recipe(name: str, **settings: Any) -> Recipe:
    """Return a recipe by name, with some of its settings replaced."""
    from micrograph.recipes import find_recipe

    return find_recipe(name).with_settings(settings)


def scan_path(kind: str, shape: tuple[int, int], coverage: float = 0.05, seed: int = 0) -> ScanPath:
    """Return a path that dwells on the share `coverage` of the pixels: 'spiral', 'random' or 'jittered'.

    It has the places in order (``y_px``, ``x_px``), the ``coverage`` itself, ``dwells`` (H, W) as mask for the recipe
    'partial-scan', and makes an image with NaN of what was recorded (``path.image(values)``).
    """
    from micrograph.simulate.scan_paths import scan_path as made

    return made(kind, shape, coverage, seed)


def analyze(
    recipe: str | Recipe,
    recording: str | Path | Recording,
    *,
    out: str | Path | None = None,
    weights: Sequence[str | Path] = (),
    device: str = "auto",
    bin: int | None = None,
    memory: str | None = None,
    maps: bool = False,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    workers: int = 1,
    cluster: str | None = None,
) -> Result:
    """Analyse a recording; with `out`, write tables, figures and the report there.

    bin: average so many pixels, along each axis, into one; by default as the objects of the recipe allow. workers:
    processes that share the frames; cluster: address of a Dask cluster that does (the recipe by its name, a path and
    `out` are needed then; in a script below ``if __name__ == "__main__":``).
    Returns `Result`: ``tables`` (name -> DataFrame, units in the column names), ``summary``, ``record``.
    """
    from micrograph.recipes import find_recipe

    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    own = tuple(map(Path, weights))
    chosen = models.with_own_classes(chosen, own).with_settings(settings or {})
    request = requests.Request(
        chosen.name,
        weights=own,
        device=device,
        bin=bin,
        memory=memory,
        maps=maps,
        resume=resume,
        settings=settings or {},
        workers=workers,
        cluster=cluster,
    )
    opened = recording if isinstance(recording, Recording) else requests.open_calibrated(Path(recording), request)
    into = None if out is None else Path(out)
    with hired(chosen, request) as crew:
        if crew is None:
            return jobs.analyze_opened(chosen, opened, request, into=into)
        if isinstance(recording, Recording) or not isinstance(recipe, str) or into is None:
            raise BadInput("Several workers open the file themselves: give its path, the recipe's name and out.")
        others = crew.elsewhere(chosen, Path(recording), request, into)
        return jobs.analyze_opened(chosen, opened, request, into=into, elsewhere=others)


def watch(
    recipe: str,
    source: str | Source,
    out: str | Path,
    *,
    pixel_size: str | None = None,
    frame_time: str | None = None,
    weights: Sequence[str | Path] = (),
    settings: Mapping[str, str] | None = None,
    policy: str | None = None,
    speed: str = "own",
    until_idle: str | None = None,
    page: Callable[[str], object] | None = None,
) -> dict[str, Any] | None:
    """Analyse frames while they come, into `out`, and return the run record; ``None`` where no frame came.

    source: as text ("folder:PATH", "zmq://HOST:PORT", "replay:FILE"), for which pixel size and frame time may be given,
    or a source with its own calibration, such as `micrograph.live.sources.libertem_frames.LibertemSource`; policy:
    'all' or 'newest'; page: called with the address of the page in the browser, which then stays until Ctrl-C.
    """
    from micrograph.apps import watching

    scale = {"pixel_nm": pixel_size, "frame_time_s": frame_time}
    if not isinstance(source, str) and (pixel_size or frame_time):
        raise BadInput("The source is made already: give it its calibration, and leave pixel size and frame time out.")
    request = requests.Request(recipe, scale, weights=tuple(map(Path, weights)), settings=settings or {})
    asked = watching.LiveRequest(request, source, speed, until_idle, policy)
    served = watching.PageRequest(page is not None)
    return watching.live(asked, Path(out), served, opened=page or (lambda address: None))


def train(
    recipe: str,
    out: str | Path,
    *,
    structure: str | Path | None = None,
    zone_axis: str = "001",
    voltage: str | None = None,
    pixel_size: str | None = None,
    labels: str | Path | None = None,
    images: int | None = None,
    classes: str = "",
    curve: bool = True,
    steps: int | None = None,
    seed: int = 0,
    devices: int | str = 1,
    begin_from: str | Path | None = None,
) -> Checkpoint:
    """Train a recipe's model, for your structure and microscope where given; write weights with their card to `out`.

    With `labels`, a folder of images with masks or outlines, the recipe's shipped weights learn on from them: from
    `images` of them, the others being held out. The scores before and after, and with `curve` what one more label
    would bring, are in the card under 'labels'. For recipes that name every pixel `classes` gives the names of what is
    painted: ``"secondary=0,0,255; tertiary=255,0,0; rest=matrix"``. A folder with a sub-folder a class gives a recipe
    that sorts images into your own classes; accuracy, confusion and doubts are in the card under 'classes'.
    `begin_from` names weights to learn on from. So many `devices` ('auto': all GPUs) share each batch, each in a
    process: a script that asks for several must stand below ``if __name__ == "__main__":``.
    """
    from micrograph.apps import classing, labelling, making
    from micrograph.nets import load

    material = making.Material(None if structure is None else Path(structure), zone_axis, voltage, pixel_size)
    if labels is not None:
        labelling.check_alone(material, str(devices))
        if classing.suits(recipe, Path(labels)):
            classing.train_on_classes(recipe, Path(labels), Path(out), curve=curve, seed=seed)
            return load(out)
        own = labelling.OwnLabels(Path(labels), images, curve, classes)
        labelling.train_on_labels(recipe, own, Path(out), steps=steps, seed=seed)
        return load(out)
    return making.train_model(
        recipe, material, Path(out), steps=steps, seed=seed, devices=str(devices), begin_from=begin_from
    )


def suggest(
    recipe: str,
    recordings: Sequence[str | Path],
    out: str | Path,
    *,
    number: int = 12,
    crop_px: int | None = None,
    look_at: int = 200,
    labelled: str | Path | None = None,
    pixel_size: str | None = None,
    weights: Sequence[str | Path] = (),
) -> DataFrame:
    """Write the `number` frames, or pieces of them, whose labels would teach a model most, and return their table.

    crop_px: side of the pieces, 0 for whole frames; look_at: frames that are looked at, spread over all; labelled: a
    folder of labels that there are already. The folder `out` is ready for ``train(..., labels=out)`` once masks are
    painted, or images are sorted into a sub-folder a class. Raises `BadInput` for recipes that learn from no labels.
    """
    from micrograph.apps import suggesting

    request = requests.Request(recipe, {"pixel_nm": pixel_size}, weights=tuple(map(Path, weights)))
    choice = suggesting.Choice(number, crop_px, look_at, None if labelled is None else Path(labelled))
    return suggesting.suggest(request, [Path(one) for one in recordings], Path(out), choice)


def validate(recipe: str, *, weights: Sequence[str | Path] = (), seed: int = 0) -> list[CheckResult]:
    """Measure a recipe against its bars: number, bound, physical limit, classical baseline."""
    return jobs.validate(recipe, tuple(map(Path, weights)), seed=seed)


def compress(
    recording: str | Path | Recording,
    out: str | Path,
    *,
    frames: int = 20,
    masks: str = "shifting",
    step: float = 1.0,
    seed: int = 0,
    resume: bool = False,
) -> Recording:
    """Code a movie, `frames` into one, into the file `out` (.coded.h5), and return that as a recording.

    masks: 'shifting', 'random' or 'bernoulli'; step: rounding of coded frames in 1-sigmas of their noise. Decode it
    with ``analyze("compressed-movie", out)``.
    """
    from micrograph.apps import coding
    from micrograph.features.restoring.coding_plan import Coding

    opened = recording if isinstance(recording, Recording) else open(recording)
    coding.compress(opened, Path(out), Coding(frames, masks, seed, step), resume=resume)
    return open(out)
