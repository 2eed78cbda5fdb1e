"""Multislice through abTEM (the [sim] extra): exit waves, diffraction patterns and scanned images, kept on disk.

Every frozen state of the atoms is a part of its own: parts are made side by side in processes, kept as soon as they are
made, and not made again when an interrupted run goes on. A result is known by the digest of all that decides it.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.core.provenance import whole
from micrograph.simulate.optics import Microscope

#: Called with (parts done, parts, a few words: how long the rest takes).
Advance = Callable[[int, int, str], object]
Kind = Literal["exit-wave", "cbed", "pacbed", "abf", "haadf"]
KINDS: tuple[Kind, ...] = ("exit-wave", "cbed", "pacbed", "abf", "haadf")
#: Changes when results are made otherwise than before.
_VERSION = 1
#: Thermal motion (nm rms per axis) of an element of which none is given.
THERMAL_NM = 0.008


@dataclass(frozen=True)
class Multislice:
    """What is asked of a structure whose cell is orthogonal, periodic across the beam, atoms in angstrom, z along it.

    kind: 'exit-wave' (a plane wave's, complex), 'cbed' (pattern of the probe at `place`, shares of the cell (x, y)),
    'pacbed' (patterns averaged over the cell), 'abf' and 'haadf' (scanned over the cell; the detector reaches from the
    microscope's inner to its outer angle). tilt_mrad (x, y) of the beam. phonons: frozen states (0: atoms at rest);
    thermal_nm: rms per axis by element. sampling_nm of the wave, slice_nm; step_nm between places of the probe, for
    scanned images and the average. most_mrad: patterns reach so far. seed of the displacements.
    """

    kind: Kind
    microscope: Microscope
    tilt_mrad: tuple[float, float] = (0.0, 0.0)
    phonons: int = 8
    thermal_nm: Mapping[str, float] = field(default_factory=dict)
    sampling_nm: float = 0.005
    slice_nm: float = 0.1
    step_nm: float = 0.02
    most_mrad: float = 50.0
    place: tuple[float, float] = (0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what abTEM would not understand."""
        if self.kind not in KINDS:
            raise BadInput(f"'{self.kind}' cannot be simulated: choose among {', '.join(KINDS)}.")
        if self.phonons < 0 or min(self.sampling_nm, self.slice_nm, self.step_nm, self.most_mrad) <= 0:
            raise BadInput("Sampling, slices, steps and angles must be greater than zero, phonons zero or more.")

    @property
    def parts(self) -> int:
        """Number of frozen states."""
        return max(1, self.phonons)


@dataclass(frozen=True)
class Simulated:
    """A result with its scale.

    array: waves (P, H, W) complex, one a frozen state, in `pixel_nm`; patterns (H, W) in `pixel_mrad`, the share of the
    beam in each pixel; images (H, W) in `pixel_nm`, the share of the beam on the detector. Scales are (y, x). key: the
    digest of all that decided it.
    """

    array: NDArray[Any]
    pixel: tuple[float, float]
    unit: str
    key: str


def cache_folder() -> Path:
    """Return where results are kept: ``$XDG_CACHE_HOME/micrograph`` or ``~/.cache/micrograph``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "micrograph" / "multislice"


def multislice_key(atoms: Atoms, job: Multislice) -> str:
    """Return the digest of all that decides a result."""
    facts = {
        "cell": np.round(np.asarray(atoms.cell), 5).tolist(),
        "atoms": sorted(
            [int(number), *np.round(place, 5).tolist()]
            for number, place in zip(atoms.numbers, atoms.positions, strict=True)
        ),
        "job": asdict(job) | {"thermal_nm": dict(sorted(job.thermal_nm.items()))},
        "version": _VERSION,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def multislice(
    atoms: Atoms, job: Multislice, *, folder: Path | None = None, workers: int = 1, progress: Advance | None = None
) -> Simulated:
    """Return what `job` asks of `atoms`, from the cache or made and kept; see `multislice_many`."""
    (found,) = multislice_many([(atoms, job)], folder=folder, workers=workers, progress=progress)
    return found


def multislice_many(
    jobs: Sequence[tuple[Atoms, Multislice]],
    *,
    folder: Path | None = None,
    workers: int = 1,
    progress: Advance | None = None,
) -> list[Simulated]:
    """Return the results of all jobs, in order; what is not kept yet is made by `workers` processes.

    `progress` hears after every part how many are done and how long the rest takes at the pace so far. Raises
    `BadInput` for a cell that is not orthogonal and where abTEM is not installed.
    """
    folder = folder or cache_folder()
    keys = [multislice_key(atoms, job) for atoms, job in jobs]
    missing = {key: one for key, one in zip(keys, jobs, strict=True) if not (folder / f"{key}.npz").exists()}
    tasks = []
    for key, (atoms, job) in missing.items():
        _check(atoms)
        (folder / f"{key}.parts").mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{key}.parts" / f"{number:05d}.npz" for number in range(job.parts)]
        tasks += [(atoms, job, number, path) for number, path in enumerate(paths) if not path.exists()]
    for _ in _watched(_made(tasks, workers), len(tasks), progress):
        pass
    for key, (_, job) in missing.items():
        _join(folder, key, job)
    return [_read(folder / f"{key}.npz", key) for key in keys]


Task = tuple[Atoms, Multislice, int, Path]


def _check(atoms: Atoms) -> None:
    cell = np.asarray(atoms.cell)
    if np.abs(cell - np.diag(np.diag(cell))).max() > 1e-3 or min(np.diag(cell)) <= 0:
        raise BadInput("The cell is not orthogonal with its edges along x, y and z: multislice needs one that is.")


def _made(tasks: Sequence[Task], workers: int) -> Iterator[None]:
    """Make all parts, here or in `workers` processes; yields after each."""
    if workers <= 1:
        for task in tasks:
            _make_part(*task)
            yield
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        left = {pool.submit(_make_part, *task) for task in tasks}
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
                yield


def _watched(parts: Iterator[None], total: int, progress: Advance | None) -> Iterator[None]:
    """Pass parts on and tell how many are done and how long the rest takes."""
    began, tell = time.monotonic(), progress or (lambda done, total, note: None)
    tell(0, total, "")
    for done, part in enumerate(parts, start=1):
        left = (time.monotonic() - began) / done * (total - done)
        tell(done, total, f"about {duration(left)} left" if done < total else "")
        yield part


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(42), duration(400), duration(9000)
    ('42 s', '7 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def displaced(atoms: Atoms, job: Multislice, number: int) -> Atoms:
    """Return the atoms in frozen state `number`, which follows from the seed and the number alone."""
    moved: Atoms = atoms.copy()  # type: ignore[no-untyped-call]
    if job.phonons:
        rng = np.random.default_rng([job.seed, number])
        sigma = np.array([10 * job.thermal_nm.get(str(symbol), THERMAL_NM) for symbol in atoms.symbols])
        moved.positions += rng.normal(size=(len(atoms), 3)) * sigma[:, None]
        moved.wrap()  # type: ignore[no-untyped-call]
    return moved


def _make_part(atoms: Atoms, job: Multislice, number: int, path: Path) -> None:
    array, pixel = _through_abtem(displaced(atoms, job, number), job)
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, array=array, pixel=np.array(pixel))


def _through_abtem(atoms: Atoms, job: Multislice) -> tuple[NDArray[Any], tuple[float, float]]:
    """Return the result (y, x) of one frozen state and its scale (y, x): nm, or mrad of a pattern."""
    try:
        import abtem
    except ImportError as error:
        raise BadInput("Multislice needs abTEM, which is not installed: pip install 'micrograph[sim]'.") from error
    optics, energy = job.microscope, 1e3 * job.microscope.voltage_kV
    potential: Any = abtem.Potential(
        atoms, sampling=10 * job.sampling_nm, slice_thickness=10 * job.slice_nm, projection="infinite"
    )
    with abtem.config.set({"diagnostics.progress_bar": False, "diagnostics.task_level_progress": False}):
        if job.kind == "exit-wave":
            plane: Any = abtem.PlaneWave(energy=energy, tilt=job.tilt_mrad)
            wave = plane.multislice(potential, lazy=False)
            return np.asarray(wave.array).T, (wave.sampling[1] / 10, wave.sampling[0] / 10)
        probe: Any = abtem.Probe(energy=energy, semiangle_cutoff=optics.convergence_mrad, tilt=job.tilt_mrad,
                                 **_aberrations(optics))  # fmt: skip
        probe.grid.match(potential)
        if job.kind in ("abf", "haadf"):
            detector = abtem.AnnularDetector(inner=optics.inner_mrad, outer=optics.outer_mrad)
            image = probe.scan(potential, scan=_scan(abtem, atoms, job), detectors=detector, lazy=False)
            return np.asarray(image.array).T, (image.sampling[1] / 10, image.sampling[0] / 10)
        scan: Any = _scan(abtem, atoms, job)
        if job.kind == "cbed":
            width, height = atoms.cell.lengths()[:2]
            scan = abtem.CustomScan(np.array([[job.place[0] * width, job.place[1] * height]]))
        pixelated = abtem.PixelatedDetector(max_angle=job.most_mrad)
        patterns = probe.scan(potential, scan=scan, detectors=pixelated, lazy=False)
        mean = np.asarray(patterns.array).reshape(-1, *patterns.array.shape[-2:]).mean(axis=0)
        step = patterns.angular_sampling
        return mean.T, (float(step[1]), float(step[0]))


def _scan(abtem: Any, atoms: Atoms, job: Multislice) -> Any:
    width, height = (float(length) for length in atoms.cell.lengths()[:2])
    number = [max(1, round(length / (10 * job.step_nm))) for length in (width, height)]
    return abtem.GridScan(start=(0, 0), end=(width, height), gpts=tuple(number), endpoint=False)


def _aberrations(optics: Microscope) -> dict[str, Any]:
    """Return abTEM's names and units (angstrom, rad) of the aberrations; a positive defocus is under focus in both."""
    return {
        "defocus": 10 * optics.defocus_nm,
        "Cs": 1e7 * optics.cs_mm,
        "C12": 10 * optics.astigmatism_nm,
        "phi12": float(np.radians(optics.astigmatism_deg)),
        "C21": 10 * optics.coma_nm,
        "phi21": float(np.radians(optics.coma_deg)),
    }


def _join(folder: Path, key: str, job: Multislice) -> None:
    """Put the parts of a result together: waves side by side, intensities averaged."""
    parts = folder / f"{key}.parts"
    with np.load(parts / "00000.npz") as file:
        pixel = file["pixel"]
    arrays = (np.load(parts / f"{number:05d}.npz")["array"] for number in range(job.parts))
    array = np.stack(list(arrays)) if job.kind == "exit-wave" else sum(arrays) / job.parts
    unit = "mrad" if job.kind in ("cbed", "pacbed") else "nm"
    with whole(folder / f"{key}.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, array=np.asarray(array), pixel=pixel, unit=np.array(unit))
    shutil.rmtree(parts, ignore_errors=True)


def _read(path: Path, key: str) -> Simulated:
    with np.load(path) as file:
        pixel = file["pixel"]
        return Simulated(file["array"], (float(pixel[0]), float(pixel[1])), str(file["unit"]), key)
