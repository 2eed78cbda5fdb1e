import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from micrograph.core import BadInput, Calibration, Frame
from micrograph.track import DriftSettings, correct, find_drift, image_drift, in_sample, lattice_drift

from .walks import drifting, left, path


@pytest.mark.parametrize(("count", "sigma"), [(60, 0.1), (60, 0.3), (300, 0.3)])
def test_drift_of_twenty_pixels_is_recovered_while_a_third_of_the_points_are_renewed(count, sigma):
    drift = path(80)
    found = find_drift(drifting(np.random.default_rng(1), 80, count, drift, sigma=sigma, renewed=0.3 / 80))
    assert left(found, drift) < 0.2
    assert found["drift_y_nm"][0] == 0 and found["drift_y_sigma_nm"][0] == 0


def test_stated_errors_cover_the_real_ones():
    rng, drift = np.random.default_rng(5), path(40)
    scores = []
    for _ in range(3):
        found = find_drift(drifting(rng, 40, 60, drift, renewed=0.02))
        off = found[["drift_y_nm", "drift_x_nm"]].to_numpy() - drift
        scores.append(off[1:] / found[["drift_y_sigma_nm", "drift_x_sigma_nm"]].to_numpy()[1:])
    assert 0.3 < np.sqrt(np.mean(np.square(scores))) < 1.2


def test_a_jump_of_the_stage_is_found():
    drift = path(40)
    drift[20:] += [70.0, -50.0]
    found = find_drift(drifting(np.random.default_rng(3), 40, 80, drift))
    assert left(found, drift) < 0.2


def test_long_steps_keep_errors_from_adding_up():
    drift = path(150)
    points = drifting(np.random.default_rng(4), 150, 50, drift, renewed=0.001)
    assert left(find_drift(points), drift) < 0.6 * left(find_drift(points, DriftSettings(longest=1)), drift)


@budget(max_examples=5, deadline=None)
@given(st.floats(-300, 300), st.floats(-300, 300), st.integers(0, 2**31))
def test_drift_does_not_depend_on_origin_or_order(y, x, seed):
    points = drifting(np.random.default_rng(6), 12, 40, path(12))
    moved = points.assign(y_nm=points["y_nm"] + y, x_nm=points["x_nm"] + x).sample(frac=1, random_state=seed)
    columns = ["drift_y_nm", "drift_x_nm"]
    assert np.allclose(find_drift(points)[columns], find_drift(moved)[columns], atol=1e-2)


def test_frames_without_points_are_bridged_and_doubted():
    drift = path(30)
    points = drifting(np.random.default_rng(7), 30, 60, drift)
    found = find_drift(points[points["frame"] != 12], frames=pd.DataFrame({"frame": range(30)}))
    assert len(found) == 30 and left(found, drift) < 0.3
    assert found["drift_y_sigma_nm"][12] > 50 * found["drift_y_sigma_nm"][11]


@pytest.mark.parametrize("frames", [0, 1])
def test_no_frame_and_one_frame_do_not_drift(frames):
    points = pd.DataFrame({"frame": [0, 0], "y_nm": [1.0, 2.0], "x_nm": [1.0, 2.0]}).iloc[: 2 * frames]
    found = find_drift(points)
    assert len(found) == frames and (found["drift_y_nm"] == 0).all()


def test_points_in_the_sample_stand_still():
    drift = path(30)
    points = drifting(np.random.default_rng(8), 30, 60, drift, renewed=0.0)
    still = in_sample(points, find_drift(points)).groupby("true")[["y_sample_nm", "x_sample_nm"]].std()
    assert still.to_numpy().mean() == pytest.approx(0.2, abs=0.04)
    with pytest.raises(BadInput, match="no drift"):
        in_sample(points, find_drift(points[points["frame"] < 10]))


def lattice_points(drift, rng, sigma=0.006, field=6.0):
    cell = 0.32 * np.array([[0.98, 0.199], [-0.66, 0.751]])
    place = (np.indices((80, 80)).reshape(2, -1).T - 40) @ cell + field / 2
    rows = []
    for frame, moved in enumerate(drift):
        seen = place + moved + rng.normal(0, sigma, place.shape)
        seen = seen[((seen > 0) & (seen < field)).all(axis=1) & (rng.random(len(seen)) > 0.1)]
        rows.append(pd.DataFrame({"frame": frame, "y_nm": seen[:, 0], "x_nm": seen[:, 1]}))
    return pd.concat(rows, ignore_index=True)


def test_phase_of_a_lattice_gives_drift_over_more_than_a_cell():
    drift = path(40, total=0.5)
    points = lattice_points(drift, np.random.default_rng(9))
    coarse = find_drift(points)
    fine = lattice_drift(points, coarse)
    assert left(coarse, drift) < 0.002 and left(fine, drift) < 0.001
    rough = coarse.assign(drift_y_nm=coarse["drift_y_nm"] + 0.03 * np.sin(np.arange(40)))
    assert left(lattice_drift(points, rough), drift) < 0.001


def test_points_without_a_lattice_are_refused():
    points = drifting(np.random.default_rng(1), 5, 50, path(5))
    with pytest.raises(BadInput, match="no lattice"):
        lattice_drift(points, find_drift(points))


def textured(drift, rng, noise=0.5, size=128):
    from scipy.ndimage import gaussian_filter, shift

    wide = gaussian_filter(rng.normal(size=(size + 120,) * 2), 2.5)
    wide /= wide.std()
    calibration = Calibration(pixel_nm=0.5, frame_time_s=2.0)
    for index, moved in enumerate(drift):
        image = shift(wide, moved / 0.5, order=3)[60:-60, 60:-60] + rng.normal(0, noise, (size, size))
        yield Frame(image.astype(np.float32), index, calibration)


def test_drift_of_images_is_recovered_through_a_jump():
    drift = path(15, total=6.0)
    drift[8:] += [8.0, -5.0]
    found = image_drift(textured(drift, np.random.default_rng(10)))
    assert left(found, drift) < 0.2 * 0.5
    assert found["t_s"].tolist() == pytest.approx([2.0 * i for i in range(15)])


def test_flat_images_keep_the_drift_before_them_and_are_doubted():
    frames = list(textured(path(6, total=2.0), np.random.default_rng(11)))
    frames[3] = Frame(np.zeros_like(frames[3].data), 3, frames[3].calibration)
    found = image_drift(frames)
    assert abs(found["drift_y_nm"][3] - found["drift_y_nm"][2]) < 0.5
    assert found["drift_y_sigma_nm"][3] > 10


def test_a_corrected_image_stands_still():
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(np.random.default_rng(12).normal(size=(60, 60)), 3)
    moved = np.roll(image, (4, -3), axis=(0, 1))
    assert np.allclose(correct(moved, (2.0, -1.5), 0.5)[8:-8, 8:-8], image[8:-8, 8:-8], atol=1e-5)


def test_images_without_a_scale_are_refused():
    with pytest.raises(BadInput, match="pixel size"):
        image_drift([Frame(np.ones((32, 32), np.float32), 0, Calibration())])


def test_a_camera_that_repeats_frames_does_not_stop_the_analysis():
    rng = np.random.default_rng(3)
    scenes = [rng.uniform(0, 8, (40, 2)) + 0.01 * n for n in range(6)]
    course = [0, 1, 2, 3, 4, 5, 4, 3, 2, 1] * 3
    place = np.concatenate([scenes[n] for n in course])
    frame = np.repeat(np.arange(len(course)), 40)
    found = find_drift(pd.DataFrame({"frame": frame, "y_nm": place[:, 0], "x_nm": place[:, 1]}))
    assert len(found) == len(course) and np.isfinite(found["drift_y_nm"]).all()
