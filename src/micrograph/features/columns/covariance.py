"""Position errors in the form that the measurements use: one 2 x 2 covariance a point, in [y, x] order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]


def covariances(sigma_nm: ArrayLike | None, n: int) -> Array:
    """Return (n, 2, 2) covariances in nm^2, axes [y, x].

    `sigma_nm` is ``None`` (exact positions), a number, (n,) one sigma a point, (n, 2) sigmas of y and x, or (n, 2, 2)
    covariances in nm^2. Raises `BadInput` for another shape and for values that are negative or not finite.
    """
    given = np.asarray(0.0 if sigma_nm is None else sigma_nm, dtype=np.float64)
    if given.shape not in ((), (n,), (n, 2), (n, 2, 2)):
        raise BadInput(f"sigma_nm has shape {given.shape}: give a number, ({n},), ({n}, 2) or ({n}, 2, 2).")
    diagonal = given[..., [0, 1], [0, 1]] if given.ndim == 3 else given
    if not np.isfinite(given).all() or (diagonal < 0).any():
        raise BadInput("sigma_nm holds negative or non-finite values: leave out the points whose fit failed.")
    if given.ndim == 3:
        return given
    out = np.zeros((n, 2, 2))
    both = given[:, None] if given.ndim == 1 else given
    out[:, [0, 1], [0, 1]] = np.broadcast_to(both**2, (n, 2))
    return out


def points(y_nm: ArrayLike, x_nm: ArrayLike) -> Array:
    """Return positions as (n, 2) array [y, x] in nm; raises `BadInput` if lengths differ or one is not finite."""
    y, x = np.asarray(y_nm, dtype=np.float64), np.asarray(x_nm, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape:
        raise BadInput(f"y_nm and x_nm have shapes {y.shape} and {x.shape}: give two lists of the same length.")
    position = np.stack([y, x], axis=1)
    if not np.isfinite(position).all():
        raise BadInput("Some positions are not finite: leave out the points whose fit failed.")
    return position
