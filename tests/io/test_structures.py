from pathlib import Path

import numpy as np
import pytest

from micrograph.core import BadInput, Frame
from micrograph.io import open_recording


def test_a_structure_is_a_recording_of_its_cell_and_atoms(tmp_path: Path) -> None:
    import ase.build
    import ase.io

    ase.io.write(tmp_path / "cu.cif", ase.build.bulk("Cu", cubic=True))
    recording = open_recording(tmp_path / "cu.cif")
    frame: Frame = recording.frame(0)
    assert recording.calibration.content == "structure"
    np.testing.assert_allclose(np.diag(frame.data[:3, :3]), 3.61, atol=1e-3)
    assert frame.data[3:, 3].tolist() == [29.0] * 4


def test_zones_of_a_peak_list_are_frames_and_angstrom_becomes_nm(tmp_path: Path) -> None:
    path = tmp_path / "zones.csv"
    path.write_text("zone,gx_per_A,gy_per_A,intensity\n1,.2,0,5\n1,0,.2,4\n2,.3,0,1\n")
    recording = open_recording(path)
    assert len(recording) == 2 and recording.calibration.content == "peaks"
    np.testing.assert_allclose(recording.frame(0).data, [[2, 0, 0, 5], [0, 2, 0, 4]], atol=1e-6)


def test_tilted_zones_are_turned_back_into_the_crystal(tmp_path: Path) -> None:
    path = tmp_path / "tilted.txt"
    path.write_text("gx_per_nm gy_per_nm alpha_deg beta_deg intensity\n0 2 90 0 1\n3 0 0 0 1\n")
    np.testing.assert_allclose(open_recording(path).frame(0).data[:, :3], [[0, 0, -2], [3, 0, 0]], atol=1e-6)


def test_lines_of_a_powder_are_read_from_their_spacing(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("d_nm intensity\n0.25 100\n0.2 50\n")
    np.testing.assert_allclose(open_recording(path).frame(0).data[:, 0], [4, 5])


def test_a_table_without_names_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "bare.txt"
    path.write_text("1.0 2.0\n3.0 4.0\n")
    with pytest.raises(BadInput, match="columns with names were expected"):
        open_recording(path)


def test_a_cif_without_a_structure_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "junk.cif"
    path.write_text("data_x\n_cell nonsense\n")
    with pytest.raises(BadInput, match="holds no atoms"):
        open_recording(path)
