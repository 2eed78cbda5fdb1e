"""Windows show what is around a point, and a recording of any length gives a fair, bounded draw of them."""

from __future__ import annotations

import numpy as np

from micrograph.features.layers.local_order import order_by_frame
from micrograph.features.layers.windows import Windows, windows

SIZE = 12


def spot(y: float, x: float, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / 2.0**2).astype(np.float32)


def seen(count: int, frame: int, rng: np.random.Generator) -> Windows:
    images = rng.normal(size=(count, SIZE, SIZE)).astype(np.float16)
    index = np.full(count, frame)
    return Windows(rng.random(count), index, 0.5 * index, rng.random(count), rng.random(count), images)


def test_a_window_is_centred_on_its_point_to_a_fraction_of_a_pixel() -> None:
    crop = windows(spot(20.3, 31.7), np.array([20.3]), np.array([31.7]), SIZE, 1.0)[0]
    np.testing.assert_allclose(crop, spot(5.5, 5.5, (SIZE, SIZE)), atol=2e-3)


def test_a_window_is_the_same_whatever_the_pixel_of_the_frame() -> None:
    rows, columns = np.ogrid[:120, :160]
    fine = np.exp(-0.5 * ((rows - 40.5) ** 2 + (columns - 63.5) ** 2) / 4.0**2).astype(np.float32)
    coarse = windows(spot(20.0, 31.5), np.array([20.0]), np.array([31.5]), SIZE, 1.0)
    # A pixel of the coarse frame is two of the fine one; smoothing before the coarser step widens the spot a little.
    again = windows(fine, np.array([40.5]), np.array([63.5]), SIZE, 2.0)
    np.testing.assert_allclose(again, coarse, atol=0.04)


def test_pixels_that_are_not_finite_do_not_spread() -> None:
    image = spot(20.0, 31.0)
    image[50, 70] = np.nan
    assert np.isfinite(windows(image, np.array([20.0]), np.array([31.0]), SIZE, 1.0)).all()


def test_windows_come_back_from_their_table() -> None:
    made = seen(5, 3, np.random.default_rng(0))
    back = Windows.of_table(made.table(), SIZE, 1.5)
    np.testing.assert_array_equal(back.images, made.images)
    np.testing.assert_array_equal(back.y_nm, made.y_nm)
    assert len(Windows.of_table(made.table().iloc[:0], SIZE, 0.0)) == 0


def test_the_draw_of_windows_does_not_depend_on_the_order_in_which_frames_come() -> None:
    rng = np.random.default_rng(1)
    frames = [seen(40, frame, rng) for frame in range(6)]
    forth, back = Windows.none(SIZE), Windows.none(SIZE)
    for frame in frames:
        forth = forth.joined(frame, 50)
    for frame in reversed(frames):
        back = back.joined(frame, 50)
    assert len(forth) == 50 and set(forth.key) == set(back.key)
    assert set(forth.frame) == set(range(6))


def test_both_halves_of_a_honeycomb_count_as_one_orientation() -> None:
    import pandas as pd

    angle = np.array([10.0, 70.0, 11.0, 69.0])
    crops = pd.DataFrame({"frame": 0, "t_s": 0.0, "angle_deg": angle, "order": [0.9, 0.8, 1.0, 0.9]})
    row = order_by_frame(crops, 3).iloc[0]
    assert abs(row["angle_deg"] - 10.0) < 1e-6 and row["angle_spread_deg"] < 1.0
    assert row["order"] == np.mean([0.9, 0.8, 1.0, 0.9])
