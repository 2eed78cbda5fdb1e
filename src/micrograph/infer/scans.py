"""A 4D-STEM scan to what virtual detectors see, line by line; the model is a few masks about the direct beam's disc."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame, Prediction, Recording
from micrograph.features.virtual import BrightDisc, Rings, find_bright_disc, masks, sums
from micrograph.infer.patterns import Progress, mrad_per_px

Array = NDArray[np.float64]

#: Lines of a scan whose sum shows where the disc lies.
_SUMMED = 8
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
class VirtualPredictor:
    """Lines of patterns (N, H, W) to `Prediction.values`.

    'sums' (N, 8) of `features.virtual.SUMS`; 'disc': middle (y, x) and radius in pixels, mrad per pixel (NaN: not
    known); 'patterns' (R, H, W), the sum of the line's patterns in all and in each region, of which there are 'counts'.
    """

    weights: NDArray[np.float32]
    disc: BrightDisc
    mrad_per_px: float | None
    regions: tuple[Region, ...]
    digest: str

    def __call__(self, frame: Frame) -> Prediction:
        """Return what the detectors see of one line."""
        lines = frame.data if frame.data.ndim == 3 else frame.data[None]
        found = [slice(None)] + [
            slice(one.left, one.right) if one.top <= frame.index < one.bottom else slice(0, 0) for one in self.regions
        ]
        patterns = np.stack([np.nan_to_num(lines[part].sum(axis=0, dtype=np.float64)) for part in found])
        disc = [self.disc.y_px, self.disc.x_px, self.disc.radius_px, self.mrad_per_px or np.nan]
        values = {
            "sums": sums(lines, self.weights),
            "disc": np.array(disc),
            "patterns": patterns,
            "counts": np.array([len(lines[part]) for part in found], float),
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
        return recording.rows()

    def prepared(self, recording: Recording, progress: Progress | None = None) -> VirtualPredictor:
        """Return the masks for the lines of a scan."""
        shape = (recording.shape[-2], recording.shape[-1])
        every = max(1, len(recording) // _SUMMED)
        total = np.zeros(shape)
        for frame in recording[::every]:
            total += np.nan_to_num(frame.data.sum(axis=0, dtype=np.float64))
        pitch = mrad_per_px(recording.calibration)
        known = recording.calibration.convergence_mrad
        radius = self.radius_px or (known / pitch if known and pitch else None)
        disc = find_bright_disc(total, radius)
        rings = self._rings(recording, disc, pitch, shape)
        said = repr((disc, rings, self.regions))
        digest = hashlib.sha256(said.encode()).hexdigest()
        pitch = pitch or (known / disc.radius_px if known else None)
        regions = parsed_regions(self.regions, recording.indices.stop, recording.shape[0])
        return VirtualPredictor(masks(shape, disc, rings), disc, pitch, regions, digest)

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
