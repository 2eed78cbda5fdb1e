from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.train.labelled import LabelledFrame

SIDE, SPACING, SIGMA = 200, 16, 3.0


def spots(height: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for h, a, b in zip(height, y, x, strict=True):
        image += h * np.exp(-((rows - a) ** 2 + (columns - b) ** 2) / (2 * SIGMA**2))
    return image.astype(np.float32)


def frame(**changes: object) -> LabelledFrame:
    """Return a square crystal whose every tenth site is dark."""
    grid = np.arange(12.0, SIDE - 8, SPACING)
    y, x = (part.ravel() for part in np.meshgrid(grid, grid, indexing="ij"))
    odd = np.arange(len(y)) % 10 == 0
    perfect = spots(np.ones(len(y)), y, x)
    image = spots(np.where(odd, 0.3, 1.0), y, x)
    settings = {"noise": 0.0, "blur": 0.0, "unturned": 1.0, "field_px": 120, "most": 0.3} | changes
    return LabelledFrame(
        image=image,
        periodic=perfect,
        variance=np.full_like(image, 1e-4),
        pixel_nm=0.02,
        y_px=y,
        x_px=x,
        site=np.zeros(len(y), np.intp),
        odd=odd,
        brightness=np.where(odd, 0.3, 1.0),
        radius_px=9.0,
        **settings,  # type: ignore[arg-type]
    )


def test_a_field_follows_from_the_generator_alone() -> None:
    first, again = (frame(unturned=0.0)(np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.sites.y_nm, again.sites.y_nm)


def test_every_labelled_site_is_dark_and_every_other_bright() -> None:
    made = frame()
    more = 0
    for seed in range(20):
        sample = made(np.random.default_rng(seed))
        y, x = (np.rint(v / sample.pixel_nm).astype(int) for v in (sample.sites.y_nm, sample.sites.x_nm))
        assert (sample.image[y, x] < 0.45).all()
        bright = np.argwhere(sample.image > 0.8)
        for a, b in zip(y, x, strict=True):
            assert np.hypot(*(bright - (a, b)).T).min() > 5
        more += len(y) > 12
    assert more > 5, "defects are moved to other sites"


def test_turned_fields_keep_their_labels_on_the_dark_sites() -> None:
    made = frame(unturned=0.0, zoom=0.0)
    for seed in range(8):
        sample = made(np.random.default_rng(seed))
        y, x = (np.rint(v / sample.pixel_nm).astype(int) for v in (sample.sites.y_nm, sample.sites.x_nm))
        assert (sample.image[y, x] < 0.5).all()


def test_noise_is_added_as_asked() -> None:
    quiet, loud = frame(most=0.0), frame(most=0.0, noise=3.0)
    spread = [np.std(loud(np.random.default_rng(s)).image - quiet(np.random.default_rng(s)).image) for s in range(12)]
    assert max(spread) > 0.015 and min(spread) < 0.01
