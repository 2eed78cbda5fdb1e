from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.spatial import cKDTree

from micrograph.core import BadInput
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours
from micrograph.features.layers.rings import rings
from micrograph.simulate import (
    EDGE_RATES,
    EDGE_STATES,
    RING_SIZES,
    DisorderSample,
    EdgeSample,
    Movie,
    MovieSettings,
    PointSample,
    Scan,
    SiliconSample,
    TmdRates,
    TmdSample,
    disordering_movie,
    drift_course,
    edge_movie,
    equilibrium,
    point_movie,
    silicon_movie,
    tmd_movie,
)
from micrograph.simulate.layers.edge_states import holed_sheet, silicon_at

SMALL = MovieSettings(frames=8, size_px=(120, 140), pixel_nm=0.02)
CLEAN = Scan(dose_e_per_A2=1e8)
COLUMNS = ["frame", "t_s", "object", "label", "y_nm", "x_nm", "y_sample_nm", "x_sample_nm"]


def every_movie(taken: MovieSettings) -> dict[str, Movie]:
    wide = replace(taken, size_px=(200, 200))
    return {
        "tmd": tmd_movie(TmdSample(vacancies=0.1), taken),
        "silicon": silicon_movie(SiliconSample(count=2), taken),
        "edge": edge_movie(EdgeSample(), wide),
        "point": point_movie(PointSample(count=10), taken),
        "disordering": disordering_movie(DisorderSample(), taken),
    }


@pytest.fixture(scope="module")
def movies() -> dict[str, Movie]:
    taken = replace(SMALL, wander_nm=0.01, jumps=((4, 0.1, -0.05),), cover=(0.0, 0.3), defocus_nm=(0.0, 3.0))
    return every_movie(taken)


def test_every_movie_has_its_truth(movies: dict[str, Movie]) -> None:
    for movie in movies.values():
        assert len(movie.recording) == 8
        assert list(movie.truth.columns[:8]) == COLUMNS
        assert set(movie.truth["frame"]) == set(range(8))
        assert {"t_s", "object", "kind", "y_nm", "x_nm", "state"} <= set(movie.events.columns)
        assert movie.recording.calibration.pixel_nm == 0.02
        assert movie.recording.frame(3).known == {"t_s": 3.0}
        np.testing.assert_array_equal(movie.drift_nm[0], 0.0)


def test_frames_are_the_same_in_any_order(movies: dict[str, Movie]) -> None:
    for movie in movies.values():
        late_first = [movie.recording.frame(frame).data for frame in (6, 2)]
        np.testing.assert_array_equal(late_first[1], movie.recording.frame(2).data)
        np.testing.assert_array_equal(late_first[0], movie.recording[5:].frame(1).data)
        assert not np.array_equal(movie.recording.frame(2).data, movie.recording.frame(3).data)


def test_the_seed_makes_the_movie() -> None:
    one, two = (tmd_movie(TmdSample(), SMALL) for _ in range(2))
    pd.testing.assert_frame_equal(one.truth, two.truth)
    np.testing.assert_array_equal(one.recording.frame(1).data, two.recording.frame(1).data)
    other = tmd_movie(TmdSample(), replace(SMALL, seed=1))
    assert not one.truth.equals(other.truth)


def test_all_sites_of_a_frame_hold_the_objects_of_its_truth(movies: dict[str, Movie]) -> None:
    for name in ("tmd", "silicon", "edge", "disordering"):
        movie = movies[name]
        assert movie.sites is not None
        sites, truth = movie.sites(5), movie.truth[movie.truth["frame"] == 5]
        distance, row = cKDTree(np.column_stack([sites.y_nm, sites.x_nm])).query(truth[["y_nm", "x_nm"]])
        assert distance.max() < 1e-6
        assert (sites.label[row] == truth["label"].to_numpy(str)).all()


def test_drift_is_velocity_wander_and_jumps() -> None:
    taken = MovieSettings(frames=50, frame_time_s=0.5, drift_nm_per_s=(0.02, -0.01), jumps=((20, 0.3, 0.2),))
    course = drift_course(taken)
    np.testing.assert_allclose(course[19], [0.19, -0.095])
    np.testing.assert_allclose(course[20] - course[19], [0.31, 0.195])
    steps = np.diff(drift_course(MovieSettings(frames=20000, wander_nm=0.01)), axis=0)
    assert steps.std() == pytest.approx(0.01, rel=0.1)


def shift_between(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return by how many pixels (y, x) the second image is moved, from the peak of the phase correlation."""
    window = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1]))
    spectra = [np.fft.fft2((image - image.mean()) * window) for image in (first, second)]
    cross = spectra[1] * np.conj(spectra[0])
    correlation = np.real(np.fft.ifft2(cross / np.sqrt(np.abs(cross) + 1e-12)))
    peak = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    moved = []
    for axis, at in enumerate(peak):
        size = correlation.shape[axis]
        line = [correlation[tuple(np.where(np.arange(2) == axis, (at + d) % size, peak))] for d in (-1, 0, 1)]
        at = at + 0.5 * (line[0] - line[2]) / (line[0] - 2 * line[1] + line[2])
        moved.append((at + size / 2) % size - size / 2)
    return np.array(moved)


def test_images_show_the_drift_of_the_truth() -> None:
    taken = replace(SMALL, size_px=(200, 200), scan=CLEAN, wander_nm=0.03, jumps=((4, 0.0, 0.2),), frames=6)
    movie = edge_movie(EdgeSample(count=1, rates_per_s=((1e-9,) * 5,) * 5), taken)
    first = movie.recording.frame(0).data
    for frame in (2, 5):
        moved = shift_between(first, movie.recording.frame(frame).data) * 0.02
        np.testing.assert_allclose(moved, movie.drift_nm[frame], atol=0.006)


def test_positions_in_the_image_are_where_the_image_is_bright() -> None:
    taken = replace(SMALL, scan=replace(CLEAN, affine=0.02, drift_nm=0.1), drift_nm_per_s=(0.05, 0.02))
    movie = point_movie(PointSample(count=6, apart_nm=0.6, sigma_nm=0.06), taken)
    for frame in (0, 7):
        image = movie.recording.frame(frame).data.astype(float)
        truth = movie.truth[movie.truth["frame"] == frame]
        y, x = np.mgrid[:120, :140] * 0.02
        for y_nm, x_nm in truth[["y_nm", "x_nm"]].to_numpy():
            if not (0.3 < y_nm < 2.1 and 0.3 < x_nm < 2.5):
                continue
            near = np.hypot(y - y_nm, x - x_nm) < 0.2
            weight = image[near] / image[near].sum()
            assert np.hypot((weight * y[near]).sum() - y_nm, (weight * x[near]).sum() - x_nm) < 0.005


def test_dose_focus_and_dirt_change_over_the_movie() -> None:
    usual = replace(SMALL, scan=CLEAN)
    still = TmdSample(rates=TmdRates(create=0, second=0, metal=0))
    plain = tmd_movie(still, usual).recording.frame(7).data
    dimmer = tmd_movie(still, replace(usual, dose=(1.0, 0.25)))
    assert dimmer.recording.frame(7).data.mean() == pytest.approx(plain.mean() / 4, rel=0.02)
    assert dimmer.recording.calibration.dose_e_per_A2 is None
    blurred = tmd_movie(still, replace(usual, defocus_nm=(0.0, 15.0))).recording.frame(7).data
    assert blurred.std() < 0.8 * plain.std()
    dirty = tmd_movie(still, replace(usual, cover=(0.0, 0.5))).recording
    film = dirty.frame(7).data - plain
    assert np.mean(film > 0.05 * plain.mean()) == pytest.approx(0.5, abs=0.15)
    assert dirty.frame(0).data.mean() == pytest.approx(plain.mean(), rel=0.03)


def test_the_film_drifts_with_the_sample() -> None:
    taken = replace(SMALL, cover=(0.5, 0.5), film_layers=50.0, scan=CLEAN, jumps=((4, 0.2, -0.1),))
    recording = silicon_movie(SiliconSample(count=1), taken).recording
    before, after = recording.frame(3).data, recording.frame(4).data
    same = np.corrcoef(before[:-10, 5:].ravel(), after[10:, :-5].ravel())[0, 1]
    assert same > 0.99 > np.corrcoef(before.ravel(), after.ravel())[0, 1]


def test_the_monolayer_loses_its_order_under_the_beam() -> None:
    taken = replace(SMALL, frames=60)
    movie = tmd_movie(TmdSample(), taken)
    counts = movie.truth.groupby("frame")["label"].value_counts().unstack(fill_value=0)
    assert counts.loc[40:, "S1"].mean() > 3 * counts.loc[:15, "S1"].mean()
    assert movie.rates["create"] == pytest.approx(1.5e-3)
    assert movie.rates["d_nm2_per_s"] == pytest.approx(0.05 * 0.3153**2 / 4)
    assert movie.realised is not None
    realised = movie.realised
    assert ((realised["count"] - realised["expected"]).abs() < 4.5 * np.sqrt(realised["expected"] + 1)).all()


def test_bound_vacancies_lie_beside_their_dopant() -> None:
    sample = TmdSample(dopants=0.2, vacancies=0.1, rates=TmdRates(hop=2.0, bind=50.0, split=0.01))
    truth = tmd_movie(sample, replace(SMALL, frames=20)).truth
    last = truth[truth["frame"] == 19].set_index("object")
    bound = last[(last["label"] == "S1") & last["partner"].isin(last.index)]
    assert len(bound) > 3
    mates = last.loc[bound["partner"]]
    assert set(mates["label"]) == {"Mo"}
    gap = bound[["y_sample_nm", "x_sample_nm"]].to_numpy() - mates[["y_sample_nm", "x_sample_nm"]].to_numpy()
    assert np.hypot(*gap.T).max() < 0.3153 / np.sqrt(3) + 0.06


def test_empty_columns_are_darker_by_what_they_lack() -> None:
    still = TmdRates(create=0.0, second=0.0, hop=0.0, metal=0.0)
    taken = replace(SMALL, frames=1, scan=CLEAN)
    movie = tmd_movie(TmdSample(vacancies=0.15, dopants=0.0, rates=still, disorder_nm=(0, 0)), taken)
    assert movie.sites is not None
    sites, image = movie.sites(0), movie.recording.frame(0).data
    row, column = np.rint(sites.y_nm / 0.02).astype(int), np.rint(sites.x_nm / 0.02).astype(int)
    brightness = image[np.clip(row, 0, 119), np.clip(column, 0, 139)]
    median = {label: np.median(brightness[sites.label == label]) for label in ("W", "S2", "S1")}
    assert median["W"] > 2 * median["S2"] > 2.2 * median["S1"]


def test_silicon_hops_between_neighbouring_sites() -> None:
    sample = SiliconSample(count=2, hop=1.0)
    movie = silicon_movie(sample, replace(SMALL, frames=30))
    hops = movie.events[movie.events["kind"] == "hop"]
    assert len(hops) > 20
    track = movie.events[movie.events["object"] == 0][["y_nm", "x_nm"]].to_numpy()
    np.testing.assert_allclose(np.hypot(*np.diff(track, axis=0).T), 0.246 / np.sqrt(3), rtol=1e-6)


@pytest.mark.parametrize("relaxed", [True, False])
def test_bonds_of_silicon_differ_by_the_planted_picometres(relaxed: bool) -> None:
    planted = ((5.0, 0.0, -3.0), (0.0, 8.0, 0.0))
    sample = SiliconSample(count=1, hop=1.0, asymmetry_pm=planted, relaxed=relaxed)
    movie = silicon_movie(sample, replace(SMALL, frames=20))
    plain = silicon_movie(replace(sample, asymmetry_pm=((0,) * 3,) * 2), replace(SMALL, frames=20)).truth
    bonds = [f"bond_{k}_nm" for k in (1, 2, 3)]
    longer = 1e3 * (movie.truth[bonds].to_numpy() - plain[bonds].to_numpy())
    np.testing.assert_allclose(longer, np.array(planted)[movie.truth["sublattice"]], atol=0.05)
    assert plain[bonds].to_numpy().mean() == pytest.approx(0.155, abs=0.001)
    assert set(movie.truth["sublattice"]) == {0, 1}
    assert movie.sites is not None
    sites = movie.sites(4)
    tree = cKDTree(np.column_stack([sites.y_nm, sites.x_nm]))
    for _, row in movie.truth[movie.truth["frame"] == 4].iterrows():
        angle = np.deg2rad(row["bond_1_deg"])
        end = np.array([row["y_nm"] - np.sin(angle) * row["bond_1_nm"], row["x_nm"] + np.cos(angle) * row["bond_1_nm"]])
        assert tree.query(end)[0] < 1e-3


def test_fourfold_silicon_takes_the_place_of_two_carbons() -> None:
    movie = silicon_movie(SiliconSample(count=2, lose=50.0, catch=0.0), SMALL)
    assert movie.sites is not None
    last = movie.truth[movie.truth["frame"] == 7]
    assert (last["state"] == "Si4").all()
    before, after = movie.sites(0), movie.sites(7)
    assert len(after) == len(before) - 2
    around = cKDTree(np.column_stack([after.y_nm, after.x_nm])).query(last[["y_nm", "x_nm"]], 6)[0]
    assert around[:, 1:5].std() < 0.002 < around[:, 5].min() - around[:, 4].max()


@pytest.mark.parametrize("corner", range(4))
@pytest.mark.parametrize("state", EDGE_STATES)
def test_rings_around_silicon_are_those_of_its_state(state: str, corner: int) -> None:
    hole = holed_sheet(6.0, (2.13, 2.1), 0.3)
    network, silicon, _ = silicon_at(hole, hole.corners[corner], state)
    y, x = network.points.T
    found = rings(neighbours(y, x, CUTOFFS_NM, np.where(network.numbers == 14, "Si", "C")), y, x)
    sizes = sorted(found.size[np.unique(found.ring_of[found.atoms == silicon])])
    assert "-".join(map(str, sizes)) == RING_SIZES[state]
    length = np.hypot(*(network.points[network.bonds[:, 0]] - network.points[network.bonds[:, 1]]).T)
    assert length.min() > 0.125
    assert length.max() < 0.19


def test_edge_states_follow_the_planted_chain() -> None:
    taken = MovieSettings(frames=3000, frame_time_s=1.0, size_px=(200, 200))
    truth = edge_movie(EdgeSample(), replace(taken, frames=400)).truth
    assert (truth.groupby("frame")["object"].nunique() == 4).all()
    jump = expm(generator(np.array(EDGE_RATES)))
    code = truth["state"].map({state: k for k, state in enumerate(EDGE_STATES)}).to_numpy()
    table = np.zeros((5, 5))
    for one in range(4):
        states = code[(truth["object"] == one).to_numpy()]
        np.add.at(table, (states[:-1], states[1:]), 1)
    visits = table.sum(axis=1, keepdims=True)
    error = np.sqrt(jump * (1 - jump) / visits)
    assert (np.abs(table / visits - jump) < 4 * error + 0.01).all()
    np.testing.assert_allclose(equilibrium(EDGE_RATES) @ generator(np.array(EDGE_RATES)), 0, atol=1e-12)


def generator(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = rates.copy()
    np.fill_diagonal(matrix, -(matrix.sum(axis=1) - np.diag(matrix)))
    return matrix


def test_planted_rotation_and_disorder_are_what_the_atoms_show() -> None:
    sample = DisorderSample(patches=3, disorder=((0.0, 0.0), (0.5, 1.0)), missing=0.0, turned_per_nm2=0.0, silicon=0)
    movie = disordering_movie(sample, replace(SMALL, size_px=(200, 200)))
    shown, planted = [], []
    for (frame, _), atoms in movie.truth.groupby(["frame", "patch"]):
        plain = atoms[atoms["class"] == "C"]
        if len(plain) < 40:
            continue
        place = plain[["y_sample_nm", "x_sample_nm"]].to_numpy()
        pairs = cKDTree(place).query_pairs(0.19, output_type="ndarray")
        way = place[pairs[:, 1]] - place[pairs[:, 0]]
        turned = np.rad2deg(np.angle(np.mean(np.exp(6j * np.arctan2(-way[:, 0], way[:, 1]))))) / 6
        off = (turned - 30.0 - plain["rotation_deg"].iloc[0] + 30) % 60 - 30
        assert abs(off) < (0.01 if frame == 0 else 2.0)
        shown.append(np.hypot(*way.T).std())
        planted.append(plain["disorder"].iloc[0])
    assert len(shown) > 12
    assert np.corrcoef(shown, planted)[0, 1] > 0.97


def test_classes_of_a_disordered_sheet_say_what_is_around() -> None:
    sample = DisorderSample(patches=1, disorder=((0.8, 0.8), (0.8, 0.8)), silicon=0.02, displaced_nm=0.0)
    movie = disordering_movie(sample, replace(SMALL, frames=1, size_px=(300, 300)))
    truth = movie.truth
    inner = truth[(truth[["y_nm", "x_nm"]] > 0.4).all(axis=1) & (truth[["y_nm", "x_nm"]] < 5.6).all(axis=1)]
    near = cKDTree(truth[["y_nm", "x_nm"]]).query_ball_point(inner[["y_nm", "x_nm"]], 0.172, return_length=True) - 1
    assert set(inner["class"]) == {"C", "Si", "57", "vacancy", "beside"}
    assert (near[inner["class"] == "C"] == 3).mean() > 0.99
    assert (near[inner["class"] == "vacancy"] < 3).mean() > 0.9
    assert ((inner["label"] == "Si") == (inner["class"] == "Si")).all()


def test_points_walk_with_their_diffusion_coefficient() -> None:
    sample = PointSample(count=200, d_nm2_per_s=2e-4, birth_per_s=1.0, death_per_s=0.01)
    movie = point_movie(sample, replace(SMALL, frames=100, size_px=(512, 512), drift_nm_per_s=(0.01, 0.0)))
    truth = movie.truth.sort_values(["object", "frame"])
    steps = truth.groupby("object")[["frame", "y_sample_nm", "x_sample_nm"]].diff()
    squared = (steps.loc[steps["frame"] == 1, ["y_sample_nm", "x_sample_nm"]] ** 2).sum(axis=1)
    assert squared.mean() / 4 == pytest.approx(2e-4, rel=0.05)
    kinds = movie.events["kind"].value_counts()
    assert kinds["create"] == pytest.approx(100, abs=45)
    assert movie.events["t_s"].is_monotonic_increasing


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_points_of_a_frame_are_in_the_image(seed: int) -> None:
    movie = point_movie(PointSample(count=5, d_nm2_per_s=0.05), replace(SMALL, seed=seed))
    assert movie.truth["y_nm"].between(-0.01, 2.39).all()
    assert movie.truth["x_nm"].between(-0.01, 2.79).all()


def test_wrong_settings_are_named() -> None:
    with pytest.raises(BadInput, match="at least one frame"):
        MovieSettings(frames=0)
    with pytest.raises(BadInput, match=r"at least 2\.1 nm"):
        EdgeSample(hole_nm=(1.0, 1.0))
    with pytest.raises(BadInput, match="larger field"):
        edge_movie(EdgeSample(), replace(SMALL, size_px=(100, 100)))
    with pytest.raises(BadInput, match="do not fit"):
        point_movie(PointSample(count=500, apart_nm=1.0), SMALL)


def test_true_bonds_are_between_the_atoms_drawn_even_under_strain_and_beside_other_silicon() -> None:
    sample = SiliconSample(count=6, hop=2.0, strain=(0.02, -0.01, 0.005), asymmetry_pm=((4, 0, 0), (0, 0, 4)))
    movie = silicon_movie(sample, replace(SMALL, scan=CLEAN, size_px=(130, 130)))
    assert movie.sites is not None
    for frame in (0, 7):
        sites = movie.sites(frame)
        tree = cKDTree(np.column_stack([sites.y_nm, sites.x_nm]))
        truth = movie.truth[movie.truth["frame"] == frame]
        nearest = np.sort(tree.query(truth[["y_nm", "x_nm"]], 4)[0][:, 1:], axis=1)
        bonds = np.sort(truth[["bond_1_nm", "bond_2_nm", "bond_3_nm"]].to_numpy(), axis=1)
        np.testing.assert_allclose(nearest, bonds, atol=1e-9)


def test_bearded_edges_have_carbon_on_a_single_bond() -> None:
    plain, bearded = (holed_sheet(6.0, (2.13, 2.1), share).network for share in (0.0, 0.4))
    inner = (np.abs(bearded.points) < 1.5).all(axis=1)
    single = inner & (bearded.degree == 1)
    assert single.sum() == len(bearded.points) - len(plain.points) >= 4
    assert not ((np.abs(plain.points) < 1.5).all(axis=1) & (plain.degree < 2)).any()
