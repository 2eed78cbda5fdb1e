"""Parallel projections of a volume that is tilted about one axis, and their adjoint, as one sparse matrix.

Slices across the tilt axis do not mix, so one matrix of a slice serves all. A volume is ``(Z, Y, X)``: z along the
beam at tilt 0, y along the tilt axis, x across it; a tilt series is ``(views, Y, X)``. At tilt t a voxel at (x, z) is
seen at ``x cos t + z sin t``, shared between the two detector pixels next to it (Joseph 1982,
doi:10.1109/TMI.1982.4307572, turned around: voxels drive, so that no voxel is missed).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Projector:
    """Projections at `tilts_deg` (V,) of volumes with `width` voxels across the tilt axis and `depth` along the beam.

    shift_px (V,): by how many pixels each view lies off across the axis; dose (V,): by how much each view counts more
    than usual, 1 where nothing is said; haze (V,): by how much its ground does, which is not the specimen's.
    Projections are sums of voxels: line integrals are these times the voxel's size. Raises `BadInput` without a view.
    """

    tilts_deg: tuple[float, ...]
    width: int
    depth: int
    shift_px: tuple[float, ...] = field(default=())
    dose: tuple[float, ...] = field(default=())
    haze: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a tilt series without views or with other shifts than views."""
        if not self.tilts_deg or not {len(self.shift_px), len(self.dose), len(self.haze)} <= {0, len(self.tilts_deg)}:
            raise BadInput(
                f"There are {len(self.tilts_deg)} tilts and {len(self.shift_px)} shifts: give one tilt for each view, "
                "and either no shifts or one for each (and no doses, or one for each)."
            )

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.tilts_deg)

    @property
    def doses(self) -> Volume:
        """The dose of each view (V, 1, 1)."""
        return np.array(self.dose or (1.0,) * self.views, np.float32)[:, None, None]

    @property
    def hazes(self) -> Volume:
        """The haze of each view (V, 1, 1)."""
        return np.array(self.haze or (1.0,) * self.views, np.float32)[:, None, None]

    @cached_property
    def matrix(self) -> csr_array:
        """The matrix (V * width, depth * width) of one slice."""
        from scipy.sparse import coo_array

        z, x = np.meshgrid(
            np.arange(self.depth) - (self.depth - 1) / 2, np.arange(self.width) - (self.width - 1) / 2, indexing="ij"
        )
        voxel = np.arange(self.depth * self.width)
        shifts = self.shift_px or (0.0,) * self.views
        rows, columns, values = [], [], []
        for view, (tilt, shift) in enumerate(zip(np.deg2rad(self.tilts_deg), shifts, strict=True)):
            at = (x * np.cos(tilt) + z * np.sin(tilt)).ravel() + (self.width - 1) / 2 + shift
            low = np.floor(at).astype(np.int64)
            for pixel, share in ((low, 1 - (at - low)), (low + 1, at - low)):
                inside = (pixel >= 0) & (pixel < self.width) & (share > 0)
                rows.append(view * self.width + pixel[inside])
                columns.append(voxel[inside])
                values.append(share[inside] * (self.dose[view] if self.dose else 1.0))
        shape = (self.views * self.width, self.depth * self.width)
        data = np.concatenate(values).astype(np.float32)
        return coo_array((data, (np.concatenate(rows), np.concatenate(columns))), shape=shape).tocsr()

    @cached_property
    def _adjoint(self) -> csr_array:
        return self.matrix.T.tocsr()

    def forward(self, volume: Volume) -> Volume:
        """Return the projections (V, Y, width) of a volume (depth, Y, width)."""
        flat = volume.transpose(0, 2, 1).reshape(self.depth * self.width, -1)
        return self._series(self.matrix @ np.ascontiguousarray(flat, np.float32))

    def back(self, series: Volume) -> Volume:
        """Return the back-projection (depth, Y, width) of a series (V, Y, width): the adjoint of `forward`."""
        flat = series.transpose(0, 2, 1).reshape(self.views * self.width, -1)
        found = self._adjoint @ np.ascontiguousarray(flat, np.float32)
        return np.asarray(found.reshape(self.depth, self.width, -1).transpose(0, 2, 1), np.float32)

    def _series(self, flat: Volume) -> Volume:
        return np.asarray(flat.reshape(self.views, self.width, -1).transpose(0, 2, 1), np.float32)

    def only(self, views: NDArray[np.intp]) -> Projector:
        """Return the projector of some of the views."""
        shifts = tuple(self.shift_px[view] for view in views) if self.shift_px else ()
        doses = tuple(self.dose[view] for view in views) if self.dose else ()
        hazes = tuple(self.haze[view] for view in views) if self.haze else ()
        return Projector(tuple(self.tilts_deg[view] for view in views), self.width, self.depth, shifts, doses, hazes)
