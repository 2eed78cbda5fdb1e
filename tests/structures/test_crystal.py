import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial import cKDTree

from micrograph.core import BadInput
from micrograph.structures import from_file, sites_of, zone_axis_of

A_NM = 0.3905


@pytest.fixture
def strontium_titanate(tmp_path):
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    path = tmp_path / "SrTiO3.cif"
    ase.io.write(path, Atoms("SrTiO3", scaled_positions=places, cell=[10 * A_NM] * 3, pbc=True))
    return path


@pytest.fixture
def silicon(tmp_path):
    path = tmp_path / "Si.cif"
    ase.io.write(path, bulk("Si", "diamond", a=5.431))
    return path


def points(sites):
    return np.column_stack([sites.y_nm, sites.x_nm])


def test_strontium_titanate_001_has_columns_of_sr_ti_and_o(strontium_titanate):
    sites = sites_of(from_file(strontium_titanate, "001", size_nm=4 * A_NM - 0.01, margin_nm=0.005, thickness_nm=2.0))
    assert {name: (sites.label == name).sum() for name in ("Sr", "Ti", "O")} == {"Sr": 16, "Ti": 16, "O": 32}
    distance = cKDTree(points(sites)[sites.label == "Sr"]).query(points(sites)[sites.label == "Ti"])[0]
    assert distance == pytest.approx(A_NM / np.sqrt(2), abs=1e-6)


def test_a_column_holds_as_many_atoms_as_the_thickness_says(strontium_titanate):
    atoms = from_file(strontium_titanate, "001", size_nm=1.0, thickness_nm=5 * A_NM)
    sites = sites_of(atoms)
    assert (atoms.numbers == 38).sum() == 5 * (sites.label == "Sr").sum()
    assert np.ptp(atoms.positions[:, 2]) < 50 * A_NM


@pytest.mark.parametrize("axis", ["110", "1-10", "[0 1 1]"])
def test_silicon_110_shows_dumbbells_of_136_pm(silicon, axis):
    cubic = {"110": "001", "1-10": "1 -1 0", "[0 1 1]": "100"}[axis]  # <110> in the primitive cell's own axes
    sites = sites_of(from_file(silicon, cubic, size_nm=3.0, rotation_deg=20.0))
    inner = ((points(sites) > 0) & (points(sites) < 3)).all(axis=1)
    distance = cKDTree(points(sites)).query(points(sites)[inner], 3)[0]
    assert distance[:, 1] == pytest.approx(0.5431 / 4, abs=1e-4)
    assert distance[:, 2].min() > 0.19


@pytest.mark.parametrize("axis", ["110", "111", "2-10", "1 2 3"])
def test_density_is_the_same_along_every_axis(strontium_titanate, axis):
    atoms = from_file(strontium_titanate, axis, size_nm=3.0, thickness_nm=3.0, margin_nm=0.0)
    assert len(atoms) / 27 == pytest.approx(5 / A_NM**3, rel=0.12)


def test_shortest_repeat_lies_along_the_rotation(strontium_titanate):
    plain, turned = (
        sites_of(from_file(strontium_titanate, "110", size_nm=2.0, rotation_deg=angle)) for angle in (0.0, 90.0)
    )
    steps = [
        np.diff(np.unique(np.round(c, 6))) for c in (plain.x_nm[plain.label == "Sr"], turned.y_nm[turned.label == "Sr"])
    ]
    assert steps[0] == pytest.approx(A_NM / np.sqrt(2), abs=2e-6)
    assert steps[1] == pytest.approx(A_NM / np.sqrt(2), abs=2e-6)


def test_a_particle_stands_in_the_middle_as_written(tmp_path):
    path = tmp_path / "particle.xyz"
    ase.io.write(path, Atoms("AuPt", positions=[(0, 0, 0), (2, 1, 5)]))
    atoms = from_file(path, size_nm=(2.0, 3.0))
    assert sorted(atoms.arrays["label"]) == ["Au", "Pt"]
    np.testing.assert_allclose(atoms.positions.mean(axis=0)[:2], [15.0, 10.0])
    np.testing.assert_allclose(atoms.positions[1] - atoms.positions[0], [2, 1, 5])


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("001", (0, 0, 1)),
        ("1-10", (1, -1, 0)),
        ("0 0 1", (0, 0, 1)),
        ("[1 1 0]", (1, 1, 0)),
        ("[1,-1,12]", (1, -1, 12)),
    ],
)
def test_zone_axes_are_read_as_people_write_them(text, axis):
    assert tuple(zone_axis_of(text)) == axis


@pytest.mark.parametrize("text", ["", "000", "11", "1111", "a b c", "1 1", "1.5 0 0", "--1 0 0"])
def test_text_that_is_no_zone_axis_is_refused(text):
    with pytest.raises(BadInput, match="zone axis"):
        zone_axis_of(text)


def test_files_that_hold_no_structure_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        from_file(tmp_path / "missing.cif", size_nm=1.0)
    broken = tmp_path / "broken.cif"
    broken.write_text("this is no crystal")
    with pytest.raises(BadInput, match=r"broken\.cif"):
        from_file(broken, size_nm=1.0)


def test_a_field_of_too_many_atoms_is_refused(silicon):
    with pytest.raises(BadInput, match="smaller field"):
        from_file(silicon, size_nm=500.0, thickness_nm=500.0)
