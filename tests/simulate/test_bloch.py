"""Bloch waves against what must hold of any image, and the pool of tilted crystals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.simulate.bloch import Columns, bloch_images
from micrograph.simulate.optics import Microscope
from micrograph.simulate.tilt_images import THERMAL_NM, Crystal, Kept, TiltImages, random_crystal, view_of
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.structures.perovskite import Tilts, along_110, cubic_perovskite, tilted_perovskite
from micrograph.validate.lattices.tilt_multislice import shipped_images

SMALL = Microscope(voltage_kV=200.0, convergence_mrad=9.0, inner_mrad=4.5, outer_mrad=9.0)
CRYSTAL = Crystal(Tilts((8.0, 6.0, 5.0), "-0+"), "SrTiO3", replace(SMALL), (0.0, 0.0), (6.0, 14.0), (0.0, 3.0))
GRID = np.arange(16) / 16


def test_a_detector_that_holds_all_sees_what_is_not_lost() -> None:
    columns = Columns.of(cubic_perovskite(), THERMAL_NM)
    all_of_it = replace(SMALL, inner_mrad=0.0, outer_mrad=200.0)
    images = bloch_images(columns, all_of_it, (0.0, 5.0, 20.0), (2.0,))
    total = images.elastic + images.lost
    assert total[..., 0, 0].real == pytest.approx(1.0, abs=1e-4)
    assert np.abs(total.reshape(3, -1)[:, 1:]).max() < 1e-4
    lost = images.lost[:, 0, 0, 0].real
    assert lost[0] == pytest.approx(0.0, abs=1e-5) and 0.01 < lost[1] < lost[2] < 0.6


def test_parity_gives_what_the_whole_problem_gives() -> None:
    near = ((1e-5, 0.0), (0.5, 0.5 + 1e-5))
    one, other = CRYSTAL.images(), CRYSTAL.images(near)
    np.testing.assert_allclose(one.elastic, other.elastic, atol=3e-4)
    np.testing.assert_allclose(one.lost, other.lost, atol=3e-4)


def test_half_the_coefficients_decide_the_image() -> None:
    images = CRYSTAL.images()
    kept = Kept.of(images)
    for place in ((0, 0), (1, 1)):
        np.testing.assert_allclose(kept.coefficients(place)[0], images.elastic[place], atol=5e-4)
    view = view_of(kept, CRYSTAL, (1, 0), 0.06, 0.1)
    np.testing.assert_allclose(view.at(*np.meshgrid(GRID, GRID, indexing="ij")), view.sampled(GRID, GRID), atol=1e-4)


def test_tilts_alone_make_one_cell_unlike_the_next() -> None:
    plain = replace(CRYSTAL, tilts=Tilts((0.0, 0.0, 0.0), "000"))
    shown = [view_of(Kept.of(one.images()), one, (1, 0), 0.06, 0.0).sampled(GRID, GRID) for one in (plain, CRYSTAL)]
    unlike = [np.abs(image - np.roll(image, 8, axis=1)).max() / image.std() for image in shown]
    assert unlike[0] < 1e-3 and unlike[1] > 0.05


def test_mixed_sites_scatter_as_their_mean() -> None:
    columns = Columns.of(along_110(tilted_perovskite(CRYSTAL.tilts, "LSMO")), THERMAL_NM, halved=True)
    assert columns.cell_nm[1] == pytest.approx(columns.depth_nm / 2) and columns.share.sum() == 40


@pytest.mark.parametrize("chemistry", ["SrTiO3", "LSMO"])
def test_bloch_waves_are_like_multislice_with_frozen_phonons(chemistry: str) -> None:
    kept, crystal = shipped_images(chemistry)[0]
    own, grid = Kept.of(crystal.images()), np.arange(24) / 24
    for place in range(2):
        true = view_of(kept, crystal, (place, 0), 0.07, 0.0).sampled(grid, grid)
        fast = view_of(own, crystal, (place, 0), 0.07, 0.1).sampled(grid, grid)
        assert np.corrcoef(true.ravel(), fast.ravel())[0, 1] > 0.97


def test_a_pool_is_simulated_once_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from micrograph.simulate import tilt_images

    monkeypatch.setattr(tilt_images, "random_crystal", lambda ranges, rng: replace(CRYSTAL, thickness_nm=(8.0,)))
    tilt_images._pool.cache_clear()
    pool = TiltImages(crystals=2, together=2)
    first = pool(np.random.default_rng(3))
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    tilt_images._pool.cache_clear()
    monkeypatch.setattr(Crystal, "images", lambda self: pytest.fail("simulated again"))
    again = pool(np.random.default_rng(3))
    np.testing.assert_array_equal(first.coefficients, again.coefficients)
    tilt_images._pool.cache_clear()


def test_a_scan_counts_what_the_dose_gives() -> None:
    view = view_of(Kept.of(CRYSTAL.images()), CRYSTAL, (1, 0), 0.06, 0.0)
    scan = TiltScan(field_nm=3.0, pixel_nm=(0.02, 0.02), dose_e_per_A2=(1e4, 1e4))
    image, pixel = scan(view, np.random.default_rng(0))
    assert image.mean() == pytest.approx(1e4 * (10 * pixel) ** 2 * view.coefficients[0, 0].real, rel=0.02)


def test_random_crystals_lie_in_their_ranges() -> None:
    ranges = TiltImages().ranges
    for number in range(50):
        crystal = random_crystal(ranges, np.random.default_rng(number))
        assert all(abs(angle) <= ranges.angle_deg[1] for angle in crystal.tilts.angles_deg)
        assert all(
            (angle == 0) == (s == "0") for angle, s in zip(crystal.tilts.angles_deg, crystal.tilts.signs, strict=True)
        )
        assert np.hypot(*crystal.mistilt_mrad) <= ranges.mistilt_mrad[1]
