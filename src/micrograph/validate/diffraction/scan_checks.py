"""Checks of virtual detectors on scans whose disc, scattering and potential are planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.virtual import BrightDisc, Rings, centre_of_mass, descanned, masks, sums
from micrograph.simulate.patterns.scanned import PlantedScan, random_scan
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.shared import Shared

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

#: Scans, and the electrons of a pattern in each.
SCANS, ELECTRONS = 6, (2e3, 2e4)
#: The dark field begins here, in radii of the disc.
_INNER = 1.2


@dataclass(frozen=True)
class Seen:
    """What was found in one scan: error of the disc's middle and radius (px); errors of the bright field and of the
    shifts over what counting leaves, by place; likeness of the potential; and that of a plain sum over all pixels.
    """

    disc_px: float
    bright: Array
    shift: Array
    naive_px: float
    found_px: float
    likeness: float


_KNOWN: Shared[tuple[Seen, ...]] = Shared()


def _seen(analyser: Analyser, rng: np.random.Generator) -> tuple[Seen, ...]:
    return _KNOWN.found(
        "planted scans", analyser, rng, lambda seed: tuple(_scans(analyser, np.random.default_rng(seed)))
    )


def _scans(analyser: Analyser, rng: np.random.Generator) -> list[Seen]:
    found = []
    for number in range(SCANS):
        truth = random_scan(rng, electrons=ELECTRONS[number % len(ELECTRONS)])
        tables = analyser.movie(truth.recording(int(rng.integers(2**31))))
        found.append(_compared(truth, tables))
    return found


def _compared(truth: PlantedScan, tables: Mapping[str, DataFrame]) -> Seen:
    objects, maps, facts = tables["objects"], tables["maps"], tables["summary"].iloc[0]
    shape = truth.potential.shape
    ideal = np.concatenate([truth.expected(row) for row in range(shape[0])]).astype(np.float32)
    disc = BrightDisc(float(facts["disc_y_px"]), float(facts["disc_x_px"]), float(facts["radius_px"]))
    middle = truth.middle_px
    off = np.hypot(disc.y_px - middle[0], disc.x_px - middle[1])
    side = truth.side_px - 1
    reach = min(disc.y_px, disc.x_px, side - disc.y_px, side - disc.x_px)
    weights = masks((truth.side_px,) * 2, disc, Rings(disc.radius_px, _INNER * disc.radius_px, np.inf, reach))
    clean = sums(ideal, weights)
    mass = centre_of_mass(clean)
    pulls = [
        (objects[f"com_{axis}_px"].to_numpy(float) - values) / objects[f"com_{axis}_sigma_px"].to_numpy(float)
        for axis, values in (("y", mass.y_px), ("x", mass.x_px))
    ]
    bright = (objects["bright_field"].to_numpy(float) - clean[:, 1]) / np.sqrt(clean[:, 1])
    shift = np.stack(truth.shift)
    seen = np.stack([maps[f"shift_{axis}_px"].to_numpy(float).reshape(shape) for axis in "yx"])
    wide = np.stack([objects[f"com_{axis}_px"].to_numpy(float).reshape(shape) for axis in "yx"])
    wanted = np.stack([descanned(one, "plane") for one in shift])
    potential = maps["potential_px"].to_numpy(float)
    return Seen(
        max(float(off), abs(disc.radius_px - truth.radius_px)),
        bright,
        np.concatenate(pulls),
        float(np.sqrt(np.mean((wide - wide.mean(axis=(1, 2), keepdims=True) - wanted) ** 2))),
        float(np.sqrt(np.mean((seen - wanted) ** 2))),
        _likeness(potential, truth.potential),
    )


def _likeness(found: Array, truth: Array) -> float:
    """Return the correlation of a potential with the truth, both without the plane that the descan's fit takes off."""
    y, x = np.indices(truth.shape)
    design = np.stack([np.ones(truth.shape), y, x, y**2, x**2, y * x], axis=-1).reshape(truth.size, -1)
    left = [one - design @ np.linalg.lstsq(design, one, rcond=None)[0] for one in (found.ravel(), truth.ravel())]
    return float(np.corrcoef(left)[0, 1])


def _check(name: str, of: Callable[[tuple[Seen, ...]], Measurement], bound: float, *, least: bool = False) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(_seen(analyser, rng))

    return Check(name, measure, bound, ">=" if least else "<=", data="planted scans")


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def disc_error(*, at_most: float) -> Check:
    """Return the check of the disc's middle and radius: the larger error in pixels, mean over scans."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        errors = [one.disc_px for one in seen]
        interval = bootstrap(lambda drawn: float(np.mean(np.array(drawn))), errors, np.random.default_rng(0))
        return Measurement.of(interval, detail=f"{len(errors)} scans")

    return _check("error of the disc's middle and radius (px)", of, at_most)


def share_error(*, at_most: float) -> Check:
    """Return the check of the bright field's error over the noise of counting (root mean square)."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        pulls = [one.bright for one in seen]
        interval = bootstrap(lambda drawn: _rms(np.concatenate(list(drawn))), pulls, np.random.default_rng(0))
        return Measurement.of(interval, limit=1.0, detail=f"{sum(map(len, pulls))} places")

    return _check("error of the bright field over the noise of counting", of, at_most)


def mass_error(*, at_most: float) -> Check:
    """Return the check of the centre of mass: its error over the 1-sigma that is stated (root mean square)."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        pulls = [one.shift for one in seen]
        interval = bootstrap(lambda drawn: _rms(np.concatenate(list(drawn))), pulls, np.random.default_rng(0))
        found, naive = (np.mean([getattr(one, name) for one in seen]) for name in ("found_px", "naive_px"))
        words = f"shifts are off by {found:.3f} px, without the descan's plane taken off by {naive:.3f} px"
        return Measurement.of(interval, limit=1.0, detail=words)

    return _check("error of the centre of mass over its sigma", of, at_most)


def potential_likeness(*, at_least: float) -> Check:
    """Return the check of how like the potential found is to the planted one (correlation, lowest of all scans)."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        likeness = [one.likeness for one in seen]
        interval = bootstrap(lambda drawn: float(np.mean(np.array(drawn))), likeness, np.random.default_rng(0))
        return Measurement.of(interval, detail=f"lowest {min(likeness):.3f}")

    return _check("likeness of the potential to the planted one", of, at_least, least=True)
