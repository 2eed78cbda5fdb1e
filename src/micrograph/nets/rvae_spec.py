"""What the auto-encoder of `nets.rvae` is to find in crops, and what it answers; without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]

#: Latents, angles and classes that agree as much as this are stable.
STABLE_RHO, STABLE_ANGLE, STABLE_ARI = 0.9, 0.95, 0.8


@dataclass(frozen=True)
class RvaeSpec:
    """Crops of `size` pixels; angles modulo 360 / `symmetry` degrees; `latents` numbers of content and `classes`.

    `shift_px` is the 1-sigma of the shift's prior (per axis, pixels), `turn_rad` that of the correction of the turn
    times the symmetry; `cycles` is the highest frequency kept (per pixel).
    """

    size: int = 28
    symmetry: int = 3
    latents: int = 2
    classes: int = 1
    hidden: int = 64
    cycles: float = 0.28
    shift_px: float = 1.0
    turn_rad: float = 0.5

    def __post_init__(self) -> None:
        """Refuse numbers below one."""
        if min(self.symmetry, self.latents, self.classes) < 1:
            raise BadInput(
                f"Symmetry {self.symmetry}, {self.latents} latents and {self.classes} classes were asked for: "
                "each must be 1 or more."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for a card."""
        return asdict(self)


@dataclass(frozen=True)
class Encoded:
    """What the model says of N crops; angles in degrees counter-clockwise, modulo 360 / symmetry; shifts in pixels.

    angle_deg, angle_sigma_deg (N,); shift_px, shift_sigma_px (N, 2), (y, x) from the crop's centre; latents and
    latent_sigma (N, L), with their prior N(0, 1); class_p (N, K); order (N,) in 0..1, the amplitude of the lattice in
    the crop as it is drawn, relative to that of the most ordered crops; bound (N,), lower bound of the log likelihood.
    """

    angle_deg: Array
    angle_sigma_deg: Array
    shift_px: Array
    shift_sigma_px: Array
    latents: Array
    latent_sigma: Array
    class_p: Array
    order: Array
    bound: Array

    @property
    def information_nats(self) -> Array:
        """What each latent says of a crop on average (L,), in nats; near 0 where it says nothing."""
        each = 0.5 * (self.latents**2 + self.latent_sigma**2 - 1) - np.log(self.latent_sigma)
        return np.asarray(each.mean(axis=0))

    def __getitem__(self, rows: NDArray[np.intp]) -> Encoded:
        """Return what is said of the given rows."""
        return Encoded(**{name: values[rows] for name, values in vars(self).items()})

    @staticmethod
    def none(spec: RvaeSpec) -> Encoded:
        """Return what is said of no crops."""
        zero = np.empty(0)
        pair, content = np.empty((0, 2)), np.empty((0, spec.latents))
        return Encoded(zero, zero, pair, pair, content, content, np.empty((0, spec.classes)), zero, zero)


@dataclass(frozen=True)
class Agreement:
    """How two trainings agree on the same crops.

    rho: smallest absolute Spearman correlation of the active latents after the best pairing, NaN when none is active;
    angle: circular correlation modulo the symmetry; ari: adjusted Rand index of the classes, NaN with one class.
    """

    first: int
    second: int
    rho: float
    angle: float
    ari: float

    @property
    def stable(self) -> bool:
        """Whether all that is known clears its bound."""
        parts = ((self.rho, STABLE_RHO), (self.angle, STABLE_ANGLE), (self.ari, STABLE_ARI))
        return all(np.isnan(value) or value >= bound for value, bound in parts)
