"""From scattered pixels to a full image, classically: smooth filling, and the few waves that explain the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

#: Trust in what the coarser level says, in visited pixels.
PULL = 0.3
#: Width (pixels) of the mirrored rim around an image whose waves are sought.
RIM = 24


def smooth_fill(values: Image, weights: Image) -> Image:
    """Return (H, W): weighted means of the visited pixels near each pixel, from coarse to fine.

    `values` (H, W) count where `weights` (H, W) are above 0; where nothing is near, what lies farther off decides.
    """
    sums, mass = [(values * weights).astype(np.float32)], [weights.astype(np.float32)]
    while min(sums[-1].shape) > 2:
        sums.append(_halved(sums[-1]))
        mass.append(_halved(mass[-1]))
    filled = np.full(sums[-1].shape, sums[-1].sum() / max(float(mass[-1].sum()), 1e-9), np.float32)
    for total, weight in zip(sums[::-1], mass[::-1], strict=True):
        coarse = filled if filled.shape == total.shape else _doubled(filled, total.shape)
        filled = (total + PULL * coarse) / (weight + PULL)
    return filled


@dataclass(frozen=True)
class FewWaves:
    """The image of few waves that agrees with the visited pixels: stagewise orthogonal matching pursuit.

    In each of the `rounds` the waves join whose strength in what is not yet explained is `share` of the strongest, and
    `sigmas` over the others'; `steps` of conjugate gradients then fit all of them, pulled to zero by `ridge`. Donoho et
    al. 2012, doi:10.1109/TIT.2011.2173241.
    """

    rounds: int = 7
    share: float = 0.8
    sigmas: float = 6.0
    steps: int = 2
    ridge: float = 0.03

    def __call__(self, values: Image, weights: Image) -> Image:
        """Return (H, W) from `values` (H, W), which count as `weights` (H, W), up to 1, say."""
        import scipy.fft

        rim = [min(RIM, side // 4) for side in values.shape]
        sizes = [
            scipy.fft.next_fast_len(side + 2 * part, real=True) for side, part in zip(values.shape, rim, strict=True)
        ]
        pad = [(part, size - side - part) for side, part, size in zip(values.shape, rim, sizes, strict=True)]
        trust = np.pad(np.minimum(weights, 1).astype(np.float32), pad)
        offset = float((values * weights).sum() / max(float(weights.sum()), 1e-9))
        left = trust * np.pad(values - offset, pad).astype(np.float32)
        image = np.full(trust.shape, offset, np.float32)
        chosen: NDArray[np.bool_] | None = None
        for _ in range(self.rounds):
            strength = np.abs(scipy.fft.rfft2(left))
            old = np.zeros(strength.shape, bool) if chosen is None else chosen
            least = max(
                self.sigmas / 1.177 * float(np.median(strength)), self.share * float(strength[~old].max(initial=0))
            )
            chosen = old | (strength > least)
            if not (chosen & ~old).any():
                break
            more = self._fit(left, trust, chosen)
            image += more
            left -= trust * more
        return image[rim[0] : rim[0] + values.shape[0], rim[1] : rim[1] + values.shape[1]]

    def _fit(self, left: Image, trust: Image, chosen: NDArray[np.bool_]) -> Image:
        """Return the sum of the `chosen` waves that explains most of what is `left`, by least squares."""
        import scipy.fft

        def among(image: Image) -> Image:
            spectrum: Any = scipy.fft.rfft2(image)
            found: Image = scipy.fft.irfft2(spectrum * chosen, s=image.shape)
            return found.astype(np.float32, copy=False)

        remaining = among(left)
        found, way, power = np.zeros_like(left), remaining.copy(), float(np.vdot(remaining, remaining))
        for _ in range(self.steps):
            if power <= 0:
                break
            pushed = among(trust * way) + self.ridge * way
            step = power / max(float(np.vdot(way, pushed)), 1e-20)
            found += step * way
            remaining -= step * pushed
            newer = float(np.vdot(remaining, remaining))
            way = remaining + newer / power * way
            power = newer
        return found


def _halved(image: Image) -> Image:
    """Return sums over 2 x 2 pixels; an odd row or column at the far end stands alone."""
    height, width = image.shape
    padded = np.pad(image, ((0, height % 2), (0, width % 2)))
    return np.asarray(padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).sum(axis=(1, 3)), np.float32)


def _doubled(image: Image, shape: tuple[int, ...]) -> Image:
    """Return the image on pixels half as large, linearly between the coarse ones."""
    for axis, side in enumerate(shape):
        image = np.moveaxis(image, axis, 0)
        before, after = np.roll(image, 1, 0), np.roll(image, -1, 0)
        before[0], after[-1] = image[0], image[-1]
        fine = np.empty((2 * len(image), *image.shape[1:]), np.float32)
        fine[0::2], fine[1::2] = 0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after
        image = np.moveaxis(fine[:side], 0, axis)
    return image
