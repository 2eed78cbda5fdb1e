import numpy as np
import pytest

from micrograph.validate.mask_scores import Compared, compare, learning_curve, mask_scores


def squares(shape: tuple[int, int] = (64, 64), shift: int = 0, without: int = 0) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate([(4, 4), (4, 40), (40, 4), (40, 40)], start=1):
        if number > without:
            labels[y : y + 12, x + shift : x + shift + 12] = number
    return labels


def test_tallies_add_up_to_the_scores() -> None:
    one = compare(squares(), squares(shift=2, without=1))
    assert one.whole.tolist() == [3 * 120, 4 * 144, 3 * 144, 3, 0, 1]
    scores = mask_scores([one], np.random.default_rng(0))
    assert scores.iou.value == pytest.approx(360 / (4 * 144 + 3 * 144 - 360))
    assert scores.dice.value == pytest.approx(2 * 360 / (7 * 144))
    assert (scores.precision.value, scores.recall.value) == (1.0, 0.75)
    assert scores.f1.value == pytest.approx(6 / 7)
    assert (scores.true, scores.found) == (4, 3)
    for interval in (scores.iou, scores.dice, scores.recall, scores.f1):
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high


def test_the_same_labels_are_perfect_and_nothing_is_found_of_nothing() -> None:
    scores = mask_scores([compare(squares(), squares())], np.random.default_rng(0))
    assert scores.iou.value == scores.f1.value == scores.recall.value == 1
    assert scores.recall.low < 1
    nothing = mask_scores([compare(squares(), np.zeros((64, 64), np.int32))], np.random.default_rng(0))
    assert nothing.iou.value == nothing.f1.value == nothing.recall.value == 0


def with_error(error: float, rng: np.random.Generator) -> Compared:
    """Return an image on which a model has this error, more or less."""
    areas = rng.uniform(800, 1200, 16)
    return Compared(np.column_stack([areas * (1 - error), areas, areas * (1 - error), areas, 0 * areas, 0 * areas]))


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.5), (0.05, 0.2), (0.2, 0.0)])
def test_the_learning_curve_finds_a_planted_power_law(a: float, b: float) -> None:
    rng, numbers = np.random.default_rng(1), (1, 3, 6)
    models = [[with_error(a * n**-b, rng) for _ in range(5)] for n in numbers]
    curve = learning_curve(numbers, models, rng, 200)
    assert curve.a == pytest.approx(a, rel=0.02)
    assert curve.b == pytest.approx(b, abs=0.02)
    gain = a * (6**-b - 7**-b)
    assert curve.gain.value == pytest.approx(gain, abs=2e-4)
    assert curve.gain.low - 1e-4 <= gain <= curve.gain.high + 1e-4
    assert curve.error_at(7) == pytest.approx(a * 7**-b, rel=0.03)


def test_errors_that_grow_with_labels_promise_no_gain() -> None:
    rng = np.random.default_rng(2)
    models = [[with_error(error, rng)] for error in (0.1, 0.15, 0.2)]
    curve = learning_curve((1, 2, 4), models, rng, 100)
    assert curve.b == 0
    assert curve.gain.value == 0


def test_scatter_about_the_curve_widens_the_interval() -> None:
    rng = np.random.default_rng(3)
    smooth = learning_curve((1, 2, 4), [[with_error(e, rng)] for e in (0.2, 0.14, 0.1)], rng, 300)
    rough = learning_curve((1, 2, 4), [[with_error(e, rng)] for e in (0.2, 0.08, 0.1)], rng, 300)
    assert rough.gain.high - rough.gain.low > 2 * (smooth.gain.high - smooth.gain.low)
