"""Planted tilt series and maps of elements, and what classical methods make of them when the truth tunes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.spectra.counts_denoise import Estimator, conserved
from micrograph.features.volumes.projector import Projector
from micrograph.features.volumes.tomography import TotalVariation, sirt, total_variation
from micrograph.simulate.ranges import Range
from micrograph.simulate.signals.phantoms import Dots

Volume = NDArray[np.float32]
Array = NDArray[np.float64]

#: Counts a pixel that are not the specimen's, as a share of the mean.
GROUND = 0.03


@dataclass(frozen=True)
class SeriesTruth:
    """A planted tilt series: counts (C, V, Y, X) with HAADF as the last channel or not, and what they come from.

    truth: (C, Z, Y, X) expected counts a voxel; shell_nm: thickness; shares: (2, C) of the elements in core and shell.
    """

    counts: Volume
    haadf: Volume | None
    truth: Volume
    tilts_deg: tuple[float, ...]
    elements: tuple[str, ...]
    voxel_nm: float
    shell_nm: float
    shares: Array


@dataclass(frozen=True)
class DotSeries:
    """Random core-shell dots, seen in `views` views from -`span_deg` to `span_deg`, with `counts` a pixel and element.

    The mean is over the whole field and all elements; haadf: whether an annular dark-field signal goes with them.
    """

    views: int = 13
    span_deg: float = 60.0
    counts: Range = (0.2, 2.0)
    haadf: bool = False
    dots: Dots = field(default_factory=lambda: Dots(side=40))

    def __call__(self, rng: np.random.Generator) -> SeriesTruth:
        """Return one series."""
        phantom = self.dots(rng)
        tilts = tuple(float(one) for one in np.linspace(-self.span_deg, self.span_deg, self.views))
        projector = Projector(tilts, self.dots.side, self.dots.side)
        clean = np.stack([projector.forward(one) for one in phantom.share])
        mean = float(np.exp(rng.uniform(*np.log(self.counts))))
        scale = np.float32(mean / clean.mean())
        counts = rng.poisson(clean * scale + GROUND * mean).astype(np.float32)
        light = projector.forward(phantom.haadf())
        bright = 300 / float(light.max())
        haadf = rng.poisson(light * bright + 15).astype(np.float32) if self.haadf else None
        peaks = phantom.share.max(axis=(1, 2, 3))
        shares = np.array([[1.0, 0.0, 0.0], [0.0, peaks[1], peaks[2]]])
        return SeriesTruth(
            counts,
            haadf,
            phantom.share * scale,
            tilts,
            phantom.elements,
            phantom.voxel_nm,
            phantom.shell_nm,
            shares / shares.sum(axis=1, keepdims=True),
        )


@dataclass(frozen=True)
class EllipsoidSeries:
    """Core-shell ellipsoids whose line integrals are written down, not summed over voxels: another forward model.

    Pixels are averaged over 5 x 5 rays; the detector's shadow dims some views, views lie off by up to `off_px`, HAADF
    is not linear, and the shell is no thicker at one side than at another. alloy: no shell, all elements mixed evenly.
    """

    views: int = 13
    counts: Range = (0.2, 2.0)
    off_px: float = 2.0
    side: int = 40
    field_nm: float = 19.2
    alloy: bool = False
    haadf: bool = False

    def __call__(self, rng: np.random.Generator) -> SeriesTruth:
        """Return one series."""
        from scipy.spatial.transform import Rotation

        voxel = self.field_nm / self.side
        outer = rng.uniform(5.2, 6.8, 3)
        shell = float(rng.uniform(0.8, 2.2))
        turn = np.asarray(Rotation.random(random_state=rng).as_matrix())
        tilts = tuple(float(one) for one in np.linspace(-60, 60, self.views))
        ratio = float(rng.uniform(0.75, 1.0))
        seen = [self._shadows(axes, turn, tilts) for axes in (outer, outer - shell)]
        whole, core = seen
        mixed = [whole, 0.8 * whole, 0.6 * whole] if self.alloy else [core, whole - core, ratio * (whole - core)]
        clean = np.stack(mixed)
        mean = float(np.exp(rng.uniform(*np.log(self.counts))))
        scale = mean / clean.mean()
        dimmed = 1 - 0.12 * rng.random(self.views)[:, None, None]
        moved = self._moved(clean * scale * dimmed, rng)
        counts = rng.poisson(moved + GROUND * mean).astype(np.float32)
        truth = np.stack(self._voxels(outer, shell, turn, ratio)) * np.float32(scale)
        shares = np.array([[1.0, 0, 0], [0, 1, ratio]])
        return SeriesTruth(
            counts,
            None,
            truth,
            tilts,
            ("In", "Zn", "Se"),
            voxel,
            shell,
            shares / shares.sum(axis=1, keepdims=True),
        )

    def _shadows(self, axes: Array, turn: Array, tilts: Sequence[float]) -> Volume:
        """Return the chords (V, Y, X) of an ellipsoid in voxels, averaged over 5 x 5 rays a pixel."""
        voxel, fine = self.field_nm / self.side, 5
        place = (np.arange(self.side * fine) + 0.5) / fine * voxel - self.field_nm / 2
        y, x = np.meshgrid(place, place, indexing="ij")
        form = turn @ np.diag(1 / axes**2) @ turn.T
        found = []
        for tilt in np.deg2rad(tilts):
            across = np.array([np.sin(tilt), 0.0, np.cos(tilt)])  # (z, y, x) of the detector's x
            along = np.array([np.cos(tilt), 0.0, -np.sin(tilt)])  # of the beam
            middle = across[:, None, None] * x + np.array([0.0, 1.0, 0.0])[:, None, None] * y
            a = along @ form @ along
            b = 2 * np.einsum("i,ij,jyx->yx", along, form, middle)
            c = np.einsum("iyx,ij,jyx->yx", middle, form, middle) - 1
            chord = np.sqrt(np.maximum(b * b - 4 * a * c, 0)) / a / voxel
            found.append(chord.reshape(self.side, fine, self.side, fine).mean(axis=(1, 3)))
        return np.asarray(np.stack(found), np.float32)

    def _moved(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return views (C, V, Y, X) that lie off by a few pixels each."""
        from scipy.ndimage import shift

        if not self.off_px:
            return clean
        offs = rng.uniform(-self.off_px, self.off_px, (self.views, 2))
        moved = [np.stack([shift(view, off, order=1) for view, off in zip(one, offs, strict=True)]) for one in clean]
        return np.asarray(np.maximum(np.stack(moved), 0))

    def _voxels(self, outer: Array, shell: float, turn: Array, ratio: float) -> list[Volume]:
        axis = (np.arange(self.side) - (self.side - 1) / 2) * self.field_nm / self.side
        place = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
        turned = np.einsum("ji,jzyx->izyx", turn, place)
        whole, core = (((turned / axes[:, None, None, None]) ** 2).sum(axis=0) <= 1 for axes in (outer, outer - shell))
        ring = (whole & ~core).astype(np.float32)
        return [core.astype(np.float32), ring, np.float32(ratio) * ring]


def decibels(found: Volume, truth: Volume) -> float:
    """Return the PSNR (dB) of volumes (C, ...), mean over elements; the peak is the highest true value of each."""
    values = [
        10 * np.log10(float(own.max()) ** 2 / max(float(((one - own) ** 2).mean(dtype=float)), 1e-30))
        for one, own in zip(found, truth, strict=True)
    ]
    return float(np.mean(values))


def likeness(found: Volume, truth: Volume) -> float:
    """Return the structural similarity of volumes (C, Z, Y, X), mean over elements."""
    from skimage import metrics

    structural_similarity: Any = metrics.structural_similarity
    values = [
        structural_similarity(own, one, data_range=float(own.max())) for one, own in zip(found, truth, strict=True)
    ]
    return float(np.mean(values))


def best_sirt(one: SeriesTruth) -> float:
    """Return the PSNR of SIRT, of each element with the number of steps that suits the truth best."""
    projector = Projector(one.tilts_deg, one.truth.shape[3], one.truth.shape[1])
    found = [
        max(decibels(sirt(counts, projector, steps)[None], own[None]) for steps in (4, 8, 16, 32))
        for counts, own in zip(one.counts, one.truth, strict=True)
    ]
    return float(np.mean(found))


def best_variation(one: SeriesTruth) -> float:
    """Return the PSNR of total variation, of each element alone, with the weight that suits the truth best."""
    projector = Projector(one.tilts_deg, one.truth.shape[3], one.truth.shape[1])
    found = []
    for counts, own in zip(one.counts, one.truth, strict=True):
        ground = float(np.quantile(counts.mean(axis=0), 0.1)) + 1e-4
        tried = [
            total_variation(counts[None], projector, TotalVariation(weight, 60, ground)) for weight in (0.1, 0.2, 0.4)
        ]
        found.append(max(decibels(volume, own[None]) for volume in tried))
    return float(np.mean(found))


@dataclass(frozen=True)
class MapTruth:
    """Planted maps: counts and expected counts (C, H, W), HAADF (H, W) or ``None``."""

    counts: Volume
    clean: Volume
    haadf: Volume | None = None


@dataclass(frozen=True)
class DotMaps:
    """Maps of several core-shell dots in a field, some counts a pixel where they are."""

    counts: Range = (0.1, 1.0)
    dots: int = 5
    side: int = 112
    radius_px: Range = (9.0, 15.0)
    haadf: bool = False

    def __call__(self, rng: np.random.Generator) -> MapTruth:
        """Return one field."""
        core, whole = np.zeros((2, self.side, self.side))
        y, x = np.indices((self.side, self.side))
        for _ in range(self.dots):
            radius = float(rng.uniform(*self.radius_px))
            place = rng.uniform(radius, self.side - radius, 2)
            stretch, angle = rng.uniform(0.8, 1.25), rng.uniform(0, np.pi)
            dy, dx = y - place[0], x - place[1]
            u = (dy * np.cos(angle) + dx * np.sin(angle)) * stretch
            v = (dx * np.cos(angle) - dy * np.sin(angle)) / stretch
            inner = radius * float(rng.uniform(0.6, 0.85))
            for into, size in ((whole, radius), (core, inner)):
                into += 2 * np.sqrt(np.maximum(size**2 - u**2 - v**2, 0))
        return _exposed(np.stack([core, whole - core, 0.8 * (whole - core)]), self.counts, self.haadf, rng)


@dataclass(frozen=True)
class LayerMaps:
    """Maps of a stack of layers with rough, mixed interfaces and precipitates: other shapes than dots."""

    counts: Range = (0.1, 1.0)
    side: int = 112
    haadf: bool = False

    def __call__(self, rng: np.random.Generator) -> MapTruth:
        """Return one field."""
        from scipy.ndimage import gaussian_filter

        y, x = np.indices((self.side, self.side), float)
        wave = 4 * np.sin(x / rng.uniform(8, 20) + rng.uniform(0, 6)) + gaussian_filter(
            rng.normal(0, 40, (self.side, self.side)), 10
        )
        edges = np.sort(rng.uniform(0.15, 0.85, 3)) * self.side
        share = [1 / (1 + np.exp(-(y + wave - edge) / rng.uniform(0.7, 4))) for edge in edges]
        grains = gaussian_filter(rng.normal(size=(self.side, self.side)), 5)
        grains = 1 / (1 + np.exp(-(grains / grains.std() - 1.2) * 6))
        clean = np.stack([1 - share[0], share[0] - share[1] + share[2], share[1] * (1 - share[2]) + 0.7 * grains])
        return _exposed(np.maximum(clean, 0), self.counts, self.haadf, rng)


def _exposed(shapes: Array, counts: Range, haadf: bool, rng: np.random.Generator) -> MapTruth:
    level = float(np.exp(rng.uniform(*np.log(counts))))
    usual = np.array([(one**2).sum() / one.sum() for one in shapes])
    clean = (shapes / usual[:, None, None] * level + GROUND * level).astype(np.float32)
    light = np.tensordot(np.array([1.0, 0.45, 0.5]), shapes / usual[:, None, None], 1)
    seen = rng.poisson(50 * light + 3).astype(np.float32) if haadf else None
    return MapTruth(rng.poisson(clean).astype(np.float32), clean, seen)


def best_classical(one: MapTruth) -> dict[str, float]:
    """Return the PSNR of Gaussian, total variation, non-local means and PCA, each element tuned by the truth."""
    found = {}
    ways = {
        "Gaussian": [Estimator("gauss", width) for width in (0.7, 1, 1.5, 2, 2.5, 3.3, 4, 5, 6.5, 8)],
        "total variation": [Estimator("flat", weight) for weight in (0.7, 1.4, 2.8, 5.6)],
    }
    for name, several in ways.items():
        made = [np.stack([way(own[None])[0] for own in one.counts]) for way in several]
        found[name] = _tuned(made, one.clean)
    found["non-local means"] = _tuned([non_local(one.counts, h) for h in (0.4, 0.7, 1.0, 1.4)], one.clean)
    found["PCA"] = _tuned([by_components(one.counts, number) for number in (1, 2, 4, 8, 16)], one.clean)
    return found


def _tuned(made: Sequence[Volume], clean: Volume) -> float:
    return float(np.mean([max(decibels(one[n][None], clean[n][None]) for one in made) for n in range(len(clean))]))


def non_local(counts: Volume, strength: float) -> Volume:
    """Return maps by non-local means after Anscombe's transform."""
    from skimage.restoration import denoise_nl_means

    found = []
    for one in counts:
        even = 2 * np.sqrt(one + 0.375)
        smooth = denoise_nl_means(even, patch_size=7, patch_distance=11, h=strength, fast_mode=True)
        found.append(np.maximum((smooth / 2) ** 2 - 0.125, 1e-6))
    return conserved(np.asarray(found, np.float32), counts)


def by_components(counts: Volume, number: int, side: int = 8) -> Volume:
    """Return maps whose patches of side x side pixels and all elements hold so many principal components, averaged."""
    from numpy.lib.stride_tricks import sliding_window_view

    views = sliding_window_view(counts, (side, side), axis=(1, 2))[:, ::2, ::2]
    channels, rows, columns = views.shape[:3]
    patches = views.transpose(1, 2, 0, 3, 4).reshape(rows * columns, -1).astype(float)
    mean = patches.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    basis = vectors[:, -number:]
    smooth = ((patches - mean) @ basis @ basis.T + mean).reshape(rows, columns, channels, side, side)
    total, weight = np.zeros(counts.shape), np.zeros(counts.shape)
    for row in range(side):
        for column in range(side):
            part = (slice(None), slice(row, row + 2 * rows, 2), slice(column, column + 2 * columns, 2))
            size = total[part].shape[1:]
            total[part] += smooth[: size[0], : size[1], :, row, column].transpose(2, 0, 1)
            weight[part] += 1
    return conserved(np.maximum(total / np.maximum(weight, 1), 1e-6).astype(np.float32), counts)
