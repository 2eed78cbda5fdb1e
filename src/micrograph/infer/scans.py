"""A 4D-STEM scan to what virtual detectors see, line by line; the model is a few masks about the direct beam's disc."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame, Prediction, Recording
from micrograph.features.diffraction.virtual import BrightDisc, Rings, find_bright_disc, masks, sums
from micrograph.infer.patterns import Progress, mrad_per_px

Array = NDArray[np.float64]

#: Frames hold as many lines as go into so many bytes (arrays of less than 32 MB are not given back to the system).
_BYTES = 31 * 2**20
#: Lines of a scan whose sum shows where the disc lies.
_SUMMED = 4
#: The dark field begins so many radii from the disc's middle where nothing is said.
_INNER_RADII = 1.2
#: A region of a scan, as text.
_REGION = re.compile(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*")


@dataclass(frozen=True)
class Region:
    """Lines `top` to ``bottom - 1`` and places `left` to ``right - 1`` of a scan."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Scan:
    """How a scan comes: the first of its lines, places along each, lines in one frame, regions that are asked for."""

    first: int
    across: int
    together: int
    regions: tuple[Region, ...] = ()

    def places(self, number: int, count: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Return line and place (N,) of the patterns of frame `number`, of which there are `count`."""
        row, column = np.divmod(np.arange(count), self.across)
        return row + self.first + number * self.together, column


@dataclass(frozen=True)
class VirtualPredictor:
    """Lines of patterns (N, H, W) to `Prediction.values`.

    'row' and 'column' (N,) of each on the scan; 'sums' (N, 8) of `features.diffraction.virtual.SUMS`; 'disc': middle
    (y, x) and radius in pixels, mrad per pixel (NaN: not known); 'patterns' (R, H, W), the sum of all patterns and of
    those in each region, of which there are 'counts' (R,).
    """

    weights: NDArray[np.float32]
    disc: BrightDisc
    mrad_per_px: float | None
    scan: Scan
    digest: str

    def __call__(self, frame: Frame) -> Prediction:
        """Return what the detectors see of some lines."""
        count, *shape = frame.data.shape
        row, column = self.scan.places(frame.index, count)
        inside = [np.ones(count, bool)]
        inside += [
            (one.top <= row) & (row < one.bottom) & (one.left <= column) & (column < one.right)
            for one in self.scan.regions
        ]
        chosen = np.stack(inside).astype(np.float32)
        flat = frame.data.reshape(count, -1)
        found, patterns = sums(frame.data, self.weights), chosen @ flat
        if not np.isfinite(patterns).all():
            patterns = chosen @ np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
        disc = [self.disc.y_px, self.disc.x_px, self.disc.radius_px, self.mrad_per_px or np.nan]
        values = {
            "row": row.astype(float),
            "column": column.astype(float),
            "sums": found,
            "disc": np.array(disc),
            "patterns": patterns.reshape(-1, *shape).astype(float),
            "counts": chosen.sum(axis=1, dtype=float),
        }
        return Prediction(frame, {}, {}, 1.0, values=values)


@dataclass(frozen=True)
class VirtualDetectors:
    """Masks for a scan, about the disc that its mean pattern shows.

    radius_px: of the disc, else from the pattern, or from convergence and scale where both are known; the dark field
    lies between the angles of the detector (`--inner`, `--outer`), else from 1.2 radii to the edge; mass_radii: how
    far from the disc's middle, in radii, the centre of mass counts, else as far as the detector reaches all around;
    regions: parts of the scan whose mean patterns are wanted, as lines and places: '0:10,0:10; 20:30,5:15'.
    """

    radius_px: float | None = None
    mass_radii: float | None = None
    regions: str = ""

    def presented(self, recording: Recording) -> Recording:
        """Return the scan line by line; raises `BadInput` for a recording that is no scan."""
        each = recording.nav_shape[1] * recording.shape[-2] * recording.shape[-1] * 4
        return recording.rows(max(1, min(_BYTES // each, recording.nav_shape[0] // 8)))

    def prepared(self, recording: Recording, progress: Progress | None = None) -> VirtualPredictor:
        """Return the masks for the lines of a scan."""
        shape = (recording.shape[-2], recording.shape[-1])
        every = max(1, len(recording) // _SUMMED)
        total = np.zeros(shape)
        for index in recording.indices[::every]:
            line = np.asarray(recording.read(index)[: recording.nav_shape[1]], np.float32)
            total += np.nan_to_num(line.sum(axis=0, dtype=np.float64))
        pitch = mrad_per_px(recording.calibration)
        known = recording.calibration.convergence_mrad
        radius = self.radius_px or (known / pitch if known and pitch else None)
        disc = find_bright_disc(total, radius)
        rings = self._rings(recording, disc, pitch, shape)
        said = repr((disc, rings, self.regions))
        digest = hashlib.sha256(said.encode()).hexdigest()
        pitch = pitch or (known / disc.radius_px if known else None)
        down, across = recording.nav_shape
        scan = Scan(recording.metadata["first_row"], across, recording.shape[0] // across)
        scan = replace(scan, regions=parsed_regions(self.regions, down, across))
        return VirtualPredictor(masks(shape, disc, rings), disc, pitch, scan, digest)

    def _rings(self, recording: Recording, disc: BrightDisc, pitch: float | None, shape: tuple[int, int]) -> Rings:
        scale = recording.calibration
        pitch = pitch or (scale.convergence_mrad / disc.radius_px if scale.convergence_mrad else None)
        if (scale.inner_mrad or scale.outer_mrad) and pitch is None:
            raise BadInput(
                "The angles of the detector are given, but not the angle of a pixel: give it with "
                '--pattern-pixel "0.43 mrad", or the --convergence.'
            )
        inner = scale.inner_mrad / pitch if scale.inner_mrad and pitch else _INNER_RADII * disc.radius_px
        outer = scale.outer_mrad / pitch if scale.outer_mrad and pitch else np.inf
        if inner >= min(outer, float(np.hypot(*shape))):
            raise BadInput(f"The dark field would begin {inner:.0f} pixels from the middle, outside: give --inner.")
        sides = (disc.y_px, disc.x_px, shape[0] - 1 - disc.y_px, shape[1] - 1 - disc.x_px)
        mass = min(sides) if self.mass_radii is None else self.mass_radii * disc.radius_px
        return Rings(disc.radius_px, inner, outer, max(mass, 1.0))


def parsed_regions(text: str, down: int, across: int) -> tuple[Region, ...]:
    """Return the regions of a scan of (down, across) places that a text names; raises `BadInput` for others."""
    found = []
    for part in filter(None, (one.strip() for one in text.split(";"))):
        match = _REGION.fullmatch(part)
        region = Region(*map(int, match.groups())) if match else None
        if region is None or not (region.top < region.bottom <= down and region.left < region.right <= across):
            raise BadInput(
                f"Setting regions holds '{part}': write first:end of lines and of places, such as 0:10,0:20, inside "
                f"the scan of {down} x {across}."
            )
        found.append(region)
    return tuple(found)
