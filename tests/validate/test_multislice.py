from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from micrograph.core import BadInput
from micrograph.simulate import Microscope, adf_points
from micrograph.simulate.optics import gaussian_transfer
from micrograph.validate.exact import Specimen, image_spectrum, sample_image, scattering_products
from micrograph.validate.multislice import SCENES, load_reference, make_references, reference_defects, reference_names
from micrograph.validate.scenes import Cell, graphene_scene, hexagonal_points, tmd_scene


def test_every_reference_set_is_shipped() -> None:
    assert reference_names() == sorted(SCENES)


@pytest.mark.parametrize("name", ["graphene_displaced_0", "graphene_displaced_2", "tmd_mos2_0", "tmd_wse2_1"])
def test_the_fast_model_equals_multislice(name: str) -> None:
    scene, reference = SCENES[name](), load_reference(name, pixel_nm=0.02)
    specimen = scene.specimen
    shifts = [(i * specimen.size_nm[0], j * specimen.size_nm[1], 0) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    points = np.concatenate([specimen.positions_nm + shift for shift in shifts])
    fast = adf_points(
        points, np.tile(specimen.numbers, 9), scene.microscope, pixel_nm=0.02, shape=reference.image.shape[:2]
    )
    assert np.corrcoef(fast.ravel(), reference.image.ravel())[0, 1] >= 0.999
    rows, columns = np.mgrid[: fast.shape[0], : fast.shape[1]] * 0.02
    ratios: dict[str, list[float]] = {}
    for y, x, label in zip(reference.sites.y_nm, reference.sites.x_nm, reference.sites.label, strict=True):
        near = (rows - y) ** 2 + (columns - x) ** 2 < 0.07**2
        ratios.setdefault(str(label), []).append(float(fast[near].sum() / reference.image[near].sum()))
    for label in set(ratios) - {"vac_W", "vac_Mo", "Se0", "S0", "S2"}:
        assert np.mean(ratios[label]) == pytest.approx(1, abs=0.05), label
    if "S2" in ratios:  # the two sulphur atoms of a column interfere: 4 % less than twice one
        assert np.mean(ratios["S2"]) == pytest.approx(1.05, abs=0.02)


def test_a_reference_interpolates_to_any_pixel() -> None:
    fine, coarse = (load_reference("graphene_displaced_0", pixel_nm=pixel) for pixel in (0.01, 0.03))
    h, w = coarse.image.shape
    np.testing.assert_allclose(coarse.image, fine.image[::3, ::3][:h, :w], rtol=1e-4)
    assert set(coarse.sites.label) == {"C"}
    assert coarse.params["voltage_kV"] == 60


def test_the_loader_blurs_by_the_source() -> None:
    sharp, blurred = (load_reference("tmd_wse2_0", source_fwhm_nm=fwhm) for fwhm in (0.0, 0.1))
    assert blurred.image.mean() == pytest.approx(sharp.image.mean(), rel=2e-3)
    transfer = gaussian_transfer(0.1 / 2.3548, sharp.image.shape[:2], 0.02)
    expected = np.fft.irfft2(np.fft.rfft2(sharp.image) * transfer, s=sharp.image.shape)
    inner = (slice(20, -20), slice(20, -20))
    np.testing.assert_allclose(blurred.image[inner], expected[inner], rtol=0.01)


def test_sites_lie_on_the_brightest_spots_and_defects_are_named() -> None:
    sample = load_reference("tmd_wse2_0")
    y, x = np.unravel_index(int(sample.image.argmax()), sample.image.shape)
    nearest = np.argmin(np.hypot(sample.sites.y_nm - y * 0.02, sample.sites.x_nm - x * 0.02))
    assert sample.sites.label[nearest] == "W"
    names = {name for name, _, _ in reference_defects("tmd_wse2_0")}
    assert {"V_W", "vac_W", "vac_Se", "vac_Se2"} >= names > {"V_W"}


def test_an_unknown_set_or_pixel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no reference set"):
        load_reference("unobtainium")
    with pytest.raises(BadInput, match="no reference set"):
        make_references(["unobtainium"], tmp_path)
    with pytest.raises(BadInput, match="pixel"):
        load_reference("graphene_displaced_0", pixel_nm=0)


@pytest.mark.parametrize(
    "cell", [Cell((1, 0), (5, 3)), Cell((1, 1), (3, 5)), Cell((2, 1), (2, 1)), Cell((3, 2), (1, 1))]
)
def test_rotated_cells_are_honeycombs_without_a_seam(cell: Cell) -> None:
    from scipy.spatial import cKDTree

    first, second, size = hexagonal_points(0.246, cell)
    assert len(first) == len(second)
    assert (len(first) + len(second)) / (size[0] * size[1]) == pytest.approx(38.16, abs=0.01)
    tree = cKDTree(np.concatenate([first, second]) % size, boxsize=size)
    distance, _ = tree.query(tree.data, k=4)
    np.testing.assert_allclose(distance[:, 1:], 0.246 / np.sqrt(3), atol=1e-6)


def test_scenes_are_made_by_their_seed() -> None:
    cell, microscope = Cell((2, 1), (2, 1)), Microscope()
    once, again = (graphene_scene(cell, microscope, 1, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(once.specimen.positions_nm, again.specimen.positions_nm)
    assert [name for name, _, _ in once.defects] == ["Si1C3"]
    tmd = tmd_scene("WS2", cell, microscope, np.random.default_rng(1))
    assert len(tmd.sites) == 2 * len(tmd.specimen.numbers) // 3


@pytest.mark.filterwarnings("ignore")
def test_the_scattering_matrix_gives_the_image_of_a_probe_scan() -> None:
    abtem = pytest.importorskip("abtem")
    microscope = Microscope(voltage_kV=60, convergence_mrad=30, inner_mrad=60, outer_mrad=110, defocus_nm=2)
    specimen = Specimen(np.array([[0.4, 0.5, 0.0], [0.6, 0.52, 0.0]]), np.array([6, 14]), (1.2, 1.2), 0.2)
    products = scattering_products(specimen, microscope)
    image = sample_image(image_spectrum(products, microscope), (1.2, 1.2), np.array([0.4]), np.array([0.45, 0.6, 0.7]))

    y_x = 10 * specimen.positions_nm
    atoms = Atoms("CSi", positions=y_x[:, [1, 0, 2]] + [0, 0, 1], cell=[12, 12, 2])
    potential = abtem.Potential(atoms, gpts=(600, 600), slice_thickness=2.0, projection="infinite")
    probe = abtem.Probe(energy=60e3, semiangle_cutoff=30, defocus=20)
    probe.grid.match(potential)
    scan = abtem.CustomScan(np.array([[4.5, 4.0], [6.0, 4.0], [7.0, 4.0]]))
    detector = abtem.AnnularDetector(inner=60, outer=110)
    exact = probe.scan(potential, scan=scan, detectors=detector).compute(scheduler="synchronous").array
    np.testing.assert_allclose(image[0], exact, rtol=0.03, atol=2e-6)
