from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from micrograph.core import Sites
from micrograph.features.lattices.odd_sites import odd_sites
from micrograph.features.lattices.subtraction import lattice_components, subtract_lattice
from micrograph.simulate import Microscope, Scan, adf, draw_distortion, expose
from micrograph.structures import sites_of, tmd, with_chalcogen_vacancies, with_dopants

PIXEL_NM, SIDE = 0.02, 256


@functools.cache
def layer(distorted: bool = False, seed: int = 0) -> tuple[NDArray[np.float32], Sites]:
    rng = np.random.default_rng(seed)
    atoms = with_dopants(tmd("WS2", SIDE * PIXEL_NM, rotation_deg=9.0), "Mo", 0.02, rng)
    atoms = with_chalcogen_vacancies(atoms, 0.02, rng)
    scan = Scan(dose_e_per_A2=1e5, drift_nm=0.15, affine=0.01) if distorted else Scan(dose_e_per_A2=1e5)
    atoms = draw_distortion(scan, (SIDE * PIXEL_NM,) * 2, rng).move_atoms(atoms)
    microscope = Microscope(voltage_kV=80.0, inner_mrad=65.0, outer_mrad=200.0)
    fraction = adf(atoms, microscope, pixel_nm=PIXEL_NM, shape=(SIDE, SIDE), thermal_nm=0.005)
    return expose(fraction, scan, PIXEL_NM, rng), sites_of(atoms)


def test_the_components_of_a_plane_wave_pattern_are_its_own() -> None:
    y, x = np.mgrid[:200, :240]
    first, second = np.array([0.07, 0.02]), np.array([-0.01, 0.09])
    image = np.cos(2 * np.pi * (first[0] * y + first[1] * x)) + np.cos(2 * np.pi * (second[0] * y + second[1] * x))
    noise = np.random.default_rng(0).normal(0, 0.3, image.shape)
    found = lattice_components(image + noise)
    assert found is not None
    whole = np.stack([first, second]) @ np.linalg.inv(found)
    np.testing.assert_allclose(whole, np.rint(whole), atol=0.02)
    assert abs(np.linalg.det(found)) == pytest.approx(abs(np.linalg.det(np.stack([first, second]))), rel=0.03)


def test_the_cell_is_that_of_the_crystal() -> None:
    image, _ = layer()
    parts = subtract_lattice(image)
    assert parts is not None
    assert abs(np.linalg.det(parts.cell)) * PIXEL_NM**2 == pytest.approx(0.3153**2 * np.sqrt(3) / 2, rel=0.03)
    np.testing.assert_allclose(parts.periodic + parts.residual, image, atol=1e-3 * image.max())


@pytest.mark.parametrize("distorted", [False, True])
def test_odd_sites_are_the_dopants_and_vacancies(distorted: bool) -> None:
    image, sites = layer(distorted)
    seen = odd_sites(image)
    assert seen is not None
    distance, nearest = cKDTree(np.column_stack([sites.y_nm, sites.x_nm])).query(
        np.column_stack([seen.y_px, seen.x_px]) * PIXEL_NM
    )
    assert np.quantile(distance, 0.95) < 0.04
    strange = ~np.isin(sites.label[nearest], ("W", "S2"))
    assert (seen.odd == strange).mean() > 0.995 and strange.sum() >= 10


def test_noise_and_flat_images_have_no_lattice() -> None:
    rng = np.random.default_rng(1)
    assert odd_sites(rng.poisson(50, (160, 160)).astype(np.float32)) is None
    assert odd_sites(np.ones((64, 64), np.float32)) is None
