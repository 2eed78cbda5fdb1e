"""Which recipes are proposed for a file: ruled out by its scale, ranked by its look, tried within a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.proposals import KINDS, proposed, still

from micrograph.apps import proposing
from micrograph.apps.kinds import KINDS as LOOKS
from micrograph.apps.kinds import TABLE, likenesses
from micrograph.core import Calibration
from micrograph.features.naming.image_kinds import described, learn_kinds, load_kinds
from micrograph.recipes import RECIPES
from micrograph.simulate.partial_sampler import PartialScans
from micrograph.simulate.stem_scenes import StemScenes


@pytest.mark.parametrize(
    "kind",
    [
        "movie of rods",
        "tilted perovskite",
        "SEM of a surface",
        "STM of dangling bonds",
        "4D-STEM scan",
        "maps of elements",
    ],
)
def test_the_right_recipe_is_proposed_first(kind: str) -> None:
    make, right = KINDS[kind]
    found, _ = proposed(make(np.random.default_rng(4)))
    assert found[0] == right


def test_every_recipe_is_judged_at_once_and_the_tried_ones_come_one_by_one() -> None:
    told = list(proposing.proposals(KINDS["movie of rods"][0](np.random.default_rng(4))))
    assert all(sorted(one.recipe for one in found) == sorted(RECIPES) for found, _ in told)
    waiting = [sum(not one.tried for one in found) for found, _ in told]
    assert waiting[0] > 0 and waiting[-1] == 0 and len(told) > 2
    first = {one.recipe: one for one in told[0][0]}
    assert "pixels" in first["atoms"].reason and not first["atoms"].fits  # 0.5 nm: no network is asked


def test_without_time_the_likeliest_is_named_but_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposing, "TRIED_S", -1.0)
    *_, (found, progress) = proposing.proposals(KINDS["SEM of a surface"][0](np.random.default_rng(4)))
    told = {one.recipe: one for one in found}
    assert "Not tried" in told["sem-class"].reason and progress.done == progress.total


def test_recipes_without_a_network_do_not_stand_above_those_whose_kind_it_is() -> None:
    *_, (found, _) = proposing.proposals(KINDS["movie of rods"][0](np.random.default_rng(4)))
    order = [one.recipe for one in found]
    assert order.index("particle-shapes") < min(order.index(name) for name in ("lattice-types", "octahedral-tilts"))


def test_a_scan_with_few_pixels_is_for_partial_scan_alone_and_an_empty_image_for_none() -> None:
    scenes = StemScenes(side=256, shares={"grains": 1.0})
    scans = PartialScans(scenes, ("jittered",), (0.05, 0.0501), (500.0, 501.0))
    image = scans(np.random.default_rng(6)).image
    assert proposed(still(image, pixel_nm=0.02))[0][0] == "partial-scan"
    blank = proposed(still(np.zeros((64, 64), np.float32), pixel_nm=0.02))[0]
    assert "atoms" not in blank


def test_the_look_of_an_image_knows_no_brightness_and_sums_to_one() -> None:
    image = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    np.testing.assert_allclose(described(image), described(7 * image + 3), atol=1e-3)
    assert sum(likenesses(image, Calibration(pixel_nm=0.5)).values()) == pytest.approx(1)
    assert set(likenesses(image, Calibration(pixel_nm=0.1, value_unit="nm"))) <= {
        name for name, kind in LOOKS.items() if kind.probe is not False
    }


def test_learned_kinds_are_told_apart_and_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(3, 20, 5)) + 6 * np.arange(3)[:, None, None]
    kinds = learn_kinds(("a", "b", "c"), numbers)
    kinds.save(tmp_path / "kinds.npz")
    again = load_kinds(tmp_path / "kinds.npz")
    assert again.names == ("a", "b", "c")
    assert (again.scores(numbers[1]).argmax(axis=1) == 1).all()
    assert set(load_kinds(TABLE).names) == set(LOOKS) <= set(RECIPES)
