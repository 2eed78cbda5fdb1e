"""Amorphous hydrocarbon on the sample and slow changes of brightness over the field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def contamination(
    shape: tuple[int, int], pixel_nm: float, rng: np.random.Generator, *, cover: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (image, mask), each (H, W) float32: amorphous patches and where they are.

    The image is a projected thickness, about 1 in the middle of a patch and 0 on the clean sample, with the speckle of
    single atoms; multiply it by the ADF fraction of the wanted film (for one layer's worth of carbon, the mean of a
    graphene image) and add it. The mask is 0..1 and soft at the patches' edges. `cover` is the covered share of the
    field (0..1), drawn between 0.05 and 0.6 when not given.
    """
    share = float(rng.uniform(0.05, 0.6)) if cover is None else cover
    patches = smooth_field(shape, rng.uniform(0.5, 1.5) / pixel_nm, rng)
    patches += 0.35 * smooth_field(shape, rng.uniform(0.15, 0.3) / pixel_nm, rng)
    level = np.quantile(patches, 1 - share) if share > 0 else np.inf
    softness = rng.uniform(0.1, 0.4)
    mask = np.clip((patches - level) / softness, 0, 1).astype(np.float32)
    thickness = mask * (1 + 0.4 * np.clip(smooth_field(shape, 1.0 / pixel_nm, rng), -2, 2))
    grain = smooth_field(shape, rng.uniform(0.035, 0.06) / pixel_nm, rng)
    speckled = thickness + rng.uniform(0.2, 0.6) * np.sqrt(thickness) * grain
    return np.clip(speckled, 0, None).astype(np.float32), mask


def slow_background(shape: tuple[int, int], rng: np.random.Generator, *, depth: float = 0.2) -> NDArray[np.float32]:
    """Return a smooth brightness (H, W) float32 of mean 1 that varies by about +-`depth`: vignetting and gradients."""
    y = np.linspace(-1, 1, shape[0])[:, None]
    x = np.linspace(-1, 1, shape[1])[None, :]
    a = rng.normal(0, 1, 5)
    surface = a[0] * y + a[1] * x + 0.5 * (a[2] * y**2 + a[3] * x**2 + a[4] * y * x)
    surface -= surface.mean()
    return np.asarray(1 + depth * surface / max(float(abs(surface).max()), 1e-9), np.float32)


def smooth_field(shape: tuple[int, int], sigma_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a Gaussian random field (H, W) float32 of mean 0 and variance 1, smooth over `sigma_px` pixels."""
    import scipy.fft

    period = [n + int(min(n, 1.5 * sigma_px)) for n in shape]
    full = [scipy.fft.next_fast_len(n, real=True) for n in period]
    coarse = [scipy.fft.next_fast_len(max(min(n, int(2 * n / sigma_px)), 8), real=True) for n in full]
    coarse = [min(n, m) for n, m in zip(coarse, full, strict=True)]
    spectrum = scipy.fft.rfft2(rng.standard_normal(coarse, dtype=np.float32))
    ky, kx = np.fft.fftfreq(coarse[0], full[0] / coarse[0]), np.fft.rfftfreq(coarse[1], full[1] / coarse[1])
    spectrum *= np.exp(-2 * (np.pi * sigma_px * ky) ** 2).astype(np.float32)[:, None]
    spectrum *= np.exp(-2 * (np.pi * sigma_px * kx) ** 2).astype(np.float32)[None, :]
    padded = np.zeros((full[0], full[1] // 2 + 1), np.complex64)
    half = (coarse[0] + 1) // 2
    padded[:half, : len(kx)] = spectrum[:half]
    padded[full[0] - coarse[0] + half :, : len(kx)] = spectrum[half:]
    field = scipy.fft.irfft2(padded, s=full)[: shape[0], : shape[1]]
    power = [
        np.sum(np.exp(-4 * (np.pi * sigma_px * np.fft.fftfreq(n, m / n)) ** 2))
        for n, m in zip(coarse, full, strict=True)
    ]
    gain = full[0] * full[1] / np.sqrt(coarse[0] * coarse[1] * power[0] * power[1])
    return np.asarray(field * np.float32(gain), np.float32)
