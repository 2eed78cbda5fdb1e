"""What textures are known by: local binary patterns, co-occurrence of greys, the spectrum. No direction, no contrast.

Local binary patterns (doi:10.1109/TPAMI.2002.1017623) and grey-level co-occurrence (doi:10.1109/TSMC.1973.4309314) on
three scales, the spectrum in rings and sectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Side (px) to which images are brought, levels of grey of the co-occurrence, rings and sectors of the spectrum.
_SIDE, _GREYS, _RINGS, _SECTORS = 128, 8, 14, 8
#: Where each number usually lies in images of surfaces.
RANGES = (
    (-1.391, 2.938), (0.2748, 2.431), (-2.02, -0.5673), (-1.003, -0.3187), (-0.5306, 0.2057), (-0.009365, 1.054),
    (1.189, 2.529), (4.407, 15.3), (7.235, 15.4), (7.313, 15.08), (7.48, 14.23), (7.503, 13.4), (7.543, 12.88),
    (7.466, 12.43), (7.237, 12.04), (6.866, 11.64), (6.275, 11.23), (5.479, 10.79), (4.651, 10.09), (3.696, 9.116),
    (2.439, 8.289), (0.4603, 8.305), (-1.712e-06, 1.711e-06), (-0.1129, 0.8476), (0.01786, 0.7267), (0.3027, 1.283),
    (0.4202, 1.494), (0.6254, 1.811), (0.81, 2.258), (0.9183, 2.603), (1.003, 3.016), (1.132, 3.346), (1.171, 3.709),
    (1.268, 4.025), (1.383, 4.186), (1.474, 4.145), (1.508, 3.667), (0.008189, 0.113), (0.01471, 0.1268),
    (0.0211, 0.1389), (0.03018, 0.1508), (0.04554, 0.1657), (0.06653, 0.1909), (0.07959, 0.2769), (0.01278, 0.5583),
    (-0.07186, 0.2392), (0.0537, 0.1193), (0.02873, 0.08819), (0.02593, 0.1295), (-0.05131, 0.3098),
    (0.01778, 0.1371), (0.03334, 0.08677), (0.04784, 0.1202), (0.02828, 0.1019), (0.1485, 0.4071), (0.2275, 7.576),
    (0.429, 0.7775), (-0.08934, 0.1762), (2.836, 4.459), (0.0137, 1.522), (0.0007534, 0.05969), (-0.002381, 0.009635),
    (-0.003512, 0.1588), (-0.02842, 0.2051), (0.06302, 0.1279), (0.01439, 0.07681), (-0.0006165, 0.1179),
    (-0.07247, 0.282), (-0.000901, 0.1245), (0.01888, 0.08311), (0.05638, 0.1305), (0.03533, 0.1181),
    (0.1887, 0.4598), (1.15, 9.892), (0.3786, 0.7217), (-0.06384, 0.1331), (3.078, 4.482), (-0.2729, 2.349),
    (-0.006982, 0.07063), (-0.002694, 0.008857), (-0.01917, 0.1547), (0.01654, 0.1686), (0.06797, 0.1381),
    (0.009133, 0.07121), (-0.01123, 0.1009), (-0.09172, 0.2461), (-0.01274, 0.1134), (0.01349, 0.079),
    (0.06106, 0.1409), (0.04455, 0.1283), (0.2241, 0.4925), (2.263, 11.5), (0.3405, 0.6697), (-0.03043, 0.08707),
    (3.282, 4.44), (-0.4939, 2.889), (-0.009515, 0.07422), (-0.003149, 0.008209), (-0.02644, 0.1411),
)  # fmt: skip
#: Names of the numbers.
NAMES = tuple(f"texture_{number}" for number in range(len(RANGES)))


def texture_vector(image: NDArray[np.floating]) -> Array:
    """Return what describes the texture of an image (H, W): as many numbers as `NAMES`."""
    from scipy.ndimage import zoom

    grey = np.asarray(image, float)
    side = min(grey.shape)
    grey = zoom(grey[:side, :side], _SIDE / side, order=1)
    grey = (grey - grey.mean()) / max(float(grey.std()), 1e-9)
    found = [_moments(grey), _spectrum(grey)]
    for scale in (1, 2, 4):
        n = _SIDE // scale
        coarse = grey.reshape(n, scale, n, scale).mean(axis=(1, 3))
        found += [_patterns(coarse), _together(coarse)]
    return np.concatenate(found)


def _moments(grey: Array) -> Array:
    return np.array([np.mean(grey**3), np.log(np.mean(grey**4)), *np.quantile(grey, [0.05, 0.25, 0.5, 0.75, 0.95])])


def _spectrum(grey: Array) -> Array:
    """Return the logarithm of the power in rings, and the sorted shares of the sectors."""
    power = np.abs(np.fft.rfft2(grey * np.hanning(_SIDE)[:, None] * np.hanning(_SIDE))) ** 2
    fy, fx = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None]
    ring = np.digitize(np.hypot(fy, fx), np.geomspace(1 / _SIDE, 0.5, _RINGS)).ravel()
    rings = np.bincount(ring, power.ravel(), _RINGS + 1) / np.maximum(np.bincount(ring, minlength=_RINGS + 1), 1)
    peaks = np.array([np.log(power.ravel()[ring == n].max(initial=1e-9)) for n in range(_RINGS + 1)])
    sector = (np.mod(np.arctan2(fy, fx), np.pi) / np.pi * _SECTORS).astype(int).ravel() % _SECTORS
    shares = np.sort(np.bincount(sector, (power * (np.hypot(fy, fx) > 0.03)).ravel(), _SECTORS))
    rings = np.log(rings + 1e-9)
    return np.concatenate([rings, peaks - rings, shares / max(float(shares.sum()), 1e-9)])


def _patterns(grey: Array) -> Array:
    """Return the shares of the ten uniform local binary patterns, whatever their direction."""
    middle = grey[1:-1, 1:-1]
    around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    rows, columns = middle.shape
    above = np.array([grey[y : y + rows, x : x + columns] > middle for y, x in around])
    turns = (above != np.roll(above, 1, axis=0)).sum(axis=0)
    code = np.where(turns <= 2, above.sum(axis=0), 9)
    return np.bincount(code.ravel(), minlength=10) / code.size


def _together(grey: Array) -> Array:
    """Return contrast, homogeneity, energy, entropy of neighbours' greys, mean over four directions, and the spread."""
    level = np.clip(np.searchsorted(np.quantile(grey, np.arange(1, _GREYS) / _GREYS), grey), 0, _GREYS - 1)
    a, b = np.mgrid[:_GREYS, :_GREYS]
    found = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = level[: len(level) - down, max(0, -right) : level.shape[1] - max(0, right)]
        second = level[down:, max(0, right) : level.shape[1] - max(0, -right)]
        joint = np.bincount((first * _GREYS + second).ravel(), minlength=_GREYS**2).reshape(_GREYS, _GREYS)
        p = joint / joint.sum()
        entropy = -(p * np.log(p + 1e-12)).sum()
        found.append([(p * (a - b) ** 2).sum(), (p / (1 + np.abs(a - b))).sum(), (p**2).sum(), entropy])
    return np.concatenate([np.mean(found, axis=0), np.std(found, axis=0)])
