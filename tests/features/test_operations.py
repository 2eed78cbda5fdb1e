"""Operations and chains: each does what it says; a chain is a text; errors are one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.objects.label_quality import each_good, explained, measure_labels, merit
from micrograph.features.objects.operation_chain import STAGES, Chain, Step, coverage_of
from micrograph.features.objects.operations import Parts, join, noise_of
from micrograph.features.objects.searching import _random_chain

Image = NDArray[np.float32]


def _discs(places: list[tuple[float, float, float]], shape: tuple[int, int] = (96, 96)) -> Image:
    """Return the coverage 0..1 of discs (y, x, radius)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    covered = np.zeros(shape)
    for row, column, radius in places:
        covered = np.maximum(covered, np.clip(radius - np.hypot(y - row, x - column) + 0.5, 0, 1))
    return covered.astype(np.float32)


def _run(stage: str, method: str, flow: object, **values: float) -> object:
    return STAGES[stage][method].run(flow, **values)


def _mask(covered: Image) -> Parts:
    return Parts(covered, covered > 0.5, np.zeros(covered.shape, np.int32))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def chain(rng: np.random.Generator) -> Chain:
    return Chain.from_text(PLAIN)


PLAIN = """
[scale]
method = "bin"
factor = 1
[polarity]
method = "dark"
[background]
method = "gaussian"
size = 40
[denoise]
method = "gaussian"
sigma = 1.2
[contrast]
method = "none"
[threshold]
method = "otsu"
factor = 1.0
[mask]
method = "smooth"
opening = 1.5
closing = 1
holes = 20
[separation]
method = "distance"
smooth = 1
rise = 0.1
[whole]
method = "join"
solidity = 0.9
neck = 0.8
[accept]
method = "objects"
least_px = 30
most = 6
solidity = 0.8
contrast = 0.3
leak = 0.3
"""


@pytest.mark.parametrize(
    ("method", "values"), [("gaussian", {"size": 30}), ("polynomial", {"order": 2}), ("opening", {"size": 40})]
)
def test_backgrounds_take_out_a_slope_and_leave_objects(method: str, values: dict[str, float]) -> None:
    covered = _discs([(30, 30, 8), (66, 60, 9)])
    y, x = np.mgrid[:96, :96] / 96
    flat = _run("background", method, (covered + 3 * y - 2 * x).astype(np.float32), **values)
    assert isinstance(flat, np.ndarray)
    ground = covered == 0
    assert flat[ground].std() < 0.12
    assert flat[covered == 1].mean() - flat[ground].mean() == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("gaussian", {"sigma": 1.0}), ("median", {"radius": 1}), ("total_variation", {"weight": 1.0}),
        ("nonlocal_means", {"strength": 0.8}), ("bilateral", {"sigma": 1.5, "strength": 4.0}),
    ],
)  # fmt: skip
def test_denoising_lowers_noise_and_keeps_the_mean(
    method: str, values: dict[str, float], rng: np.random.Generator
) -> None:
    image = (100 + 10 * _discs([(48, 48, 20)]) + rng.normal(0, 2, (96, 96))).astype(np.float32)
    smooth = _run("denoise", method, image, **values)
    assert isinstance(smooth, np.ndarray)
    assert smooth[:20, :20].std() < 1.4
    assert smooth[40:56, 40:56].mean() == pytest.approx(110, abs=0.6)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("otsu", {"factor": 1.0}), ("li", {"factor": 1.0}), ("triangle", {"factor": 1.0}),
        ("two_means", {"factor": 1.0}), ("local", {"size": 40, "offset": 1.0}),
        ("hysteresis", {"low": 0.7, "high": 1.3}),
    ],
)  # fmt: skip
def test_thresholds_find_bright_discs(method: str, values: dict[str, float], rng: np.random.Generator) -> None:
    covered = _discs([(25, 25, 9), (60, 65, 10), (20, 75, 8)])
    found = _run("threshold", method, (covered + rng.normal(0, 0.08, covered.shape)).astype(np.float32), **values)
    assert isinstance(found, Parts)
    truth = covered > 0.5
    assert (found.inside & truth).sum() / (found.inside | truth).sum() > 0.85


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("distance", {"smooth": 1.0, "rise": 0.1}), ("grey", {"smooth": 1.0, "rise": 0.1}),
        ("blobs", {"sigma": 7.0}), ("erosion", {"depth": 0.8}),
    ],
)  # fmt: skip
def test_separations_cut_two_discs_that_overlap_and_no_single_one(method: str, values: dict[str, float]) -> None:
    parts = _mask(_discs([(30, 30, 12), (30, 50, 12), (75, 70, 12)]))
    found = _run("separation", method, parts, **values)
    assert isinstance(found, Parts)
    assert found.labels.max() == 3
    assert len({int(found.labels[place]) for place in ((30, 28), (30, 52), (75, 70))}) == 3


def test_masks_lose_specks_and_holes() -> None:
    covered = _discs([(48, 48, 15)])
    covered[48, 48], covered[10, 10] = 0, 1
    found = _run("mask", "smooth", _mask(covered), opening=2.0, closing=0.5, holes=10)
    assert isinstance(found, Parts)
    assert found.inside[48, 48] and not found.inside[10, 10]
    assert found.inside.sum() == pytest.approx(np.pi * 15**2, rel=0.05)


def test_a_chain_finds_dark_discs_on_a_slope(chain: Chain, rng: np.random.Generator) -> None:
    covered = _discs([(30, 30, 12), (30, 51, 12), (70, 60, 10)])
    image = 50 - 10 * covered + 0.1 * np.arange(96) + rng.normal(0, 2, covered.shape)
    labels = chain.labels(image.astype(np.float32))
    assert labels.max() == 3
    assert ((labels > 0) == (covered > 0.5)).mean() > 0.97
    image[5, 5] = np.nan
    assert chain.labels(image.astype(np.float32)).max() == 3


def test_nothing_is_found_where_nothing_is(chain: Chain) -> None:
    assert chain.labels(np.zeros((40, 40), np.float32)).max() == 0
    assert chain.labels(np.full((40, 40), np.nan, np.float32)).max() == 0
    assert chain.labels(np.zeros((3, 5), np.float32)).shape == (3, 5)


def test_a_chain_is_the_text_that_it_writes(rng: np.random.Generator) -> None:
    for _ in range(20):
        chain = _random_chain(20.0, 1, rng)
        assert Chain.from_text(chain.to_text()) == chain


def test_binning_gives_labels_over_all_pixels(chain: Chain) -> None:
    binned = Chain((Step("scale", "bin", (("factor", 2.0),)), *chain.steps[1:]))
    image = -_discs([(30, 30, 14), (70, 65, 16)], (97, 99))
    labels = binned.labels(image)
    assert labels.shape == (97, 99)
    assert labels.max() == 2


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('method = "otsu"', 'method = "magic"', "one of otsu"),
        ("size = 40", "width = 40", "it takes size"),
        ("size = 40", 'size = "wide"', "it is a number"),
        ("size = 40", "size = 1", "at least 2"),
        ("[mask]", "[masks]", "needs exactly"),
        ("size = 40", "size = ", "no TOML"),
    ],
)
def test_a_text_that_is_no_chain_is_refused_in_a_sentence(before: str, after: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Chain.from_text(PLAIN.replace(before, after))


def test_coverage_puts_its_half_level_on_the_edge() -> None:
    covered = _discs([(47.6, 48.3, 15.3)])
    found = coverage_of(100 - 20 * covered, (covered > 0.5).astype(np.int32))
    assert found.sum() == pytest.approx(covered.sum(), rel=0.02)
    worse = _discs([(47.6, 48.3, 16.8)]) > 0.5
    assert coverage_of(100 - 20 * covered, worse.astype(np.int32)).sum() == pytest.approx(covered.sum(), rel=0.03)


def test_quality_knows_whole_objects_from_parts_and_clumps() -> None:
    covered = _discs([(24, 24, 12), (70, 30, 12), (70, 51, 12)])
    labels = np.zeros(covered.shape, np.int32)
    labels[:48] = covered[:48] > 0.5
    labels[48:][covered[48:] > 0.5] = 2
    whole = measure_labels(covered, labels)
    assert whole.solidity[0] > 0.97 > 0.94 > whole.solidity[1]
    assert whole.contrast == pytest.approx([1, 1], abs=0.1)
    half = np.where(np.arange(96)[None, :] < 24, labels, 0).astype(np.int32)
    assert measure_labels(covered, half).leak[0] > 0.1 > whole.leak[0]
    cut = labels.copy()
    cut[(labels == 2) & (np.arange(96)[None, :] > 40)] = 3
    assert measure_labels(covered, cut).shared[1:].min() > 0.1
    assert merit(covered, cut, 0.01) > merit(covered, labels, 0.01) > merit(covered, half, 0.01)
    assert each_good(whole)[0] > 0.8


def test_merit_is_lower_for_a_disc_that_is_cut_in_two() -> None:
    covered = _discs([(48, 48, 15)])
    one = (covered > 0.5).astype(np.int32)
    two = np.where(np.arange(96)[None, :] > 48, 2 * one, one).astype(np.int32)
    assert merit(covered, one, 0.01) > merit(covered, two, 0.01)
    assert explained(covered, one, 0.0) > 0.95
    assert merit(covered, np.zeros_like(one), 0.01) == 0


def test_noise_is_that_of_the_pixels(rng: np.random.Generator) -> None:
    image = 40 * _discs([(48, 48, 20)]) + np.arange(96) + rng.normal(0, 3, (96, 96))
    assert noise_of(image.astype(np.float32)) == pytest.approx(3, rel=0.1)


def _in_two(shape: tuple[int, int], inside: NDArray[np.bool_], column: int) -> Parts:
    """Return an object that a straight cut at a column has taken in two."""
    labels = np.where(inside, np.where(np.arange(shape[1]) < column, 1, 2), 0).astype(np.int32)
    return Parts(inside.astype(np.float32), inside, labels)


def test_halves_of_a_rod_are_joined_and_two_discs_are_not() -> None:
    y, x = np.mgrid[:40, :80]
    rod = np.hypot(np.clip(np.abs(x - 40) - 20, 0, None), y - 20) < 8
    assert join(_in_two(rod.shape, rod, 37), 0.9, 0.8).labels.max() == 1
    discs = np.minimum(np.hypot(x - 30, y - 20), np.hypot(x - 48, y - 20)) < 12
    assert len(np.unique(join(_in_two(discs.shape, discs, 39), 0.9, 0.8).labels)) == 3


def test_a_rod_that_stands_on_another_stays_its_own_though_the_cut_is_as_wide() -> None:
    y, x = np.mgrid[:60, :80]
    lying, standing = (np.abs(y - 45) < 6) & (np.abs(x - 40) < 30), (np.abs(x - 40) < 6) & (y > 5) & (y < 40)
    labels = np.where(lying, 1, np.where(standing, 2, 0)).astype(np.int32)
    joined = join(Parts(labels.astype(np.float32), labels > 0, labels), 0.9, 0.8)
    assert np.array_equal(joined.labels, labels)
