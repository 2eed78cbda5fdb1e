"""Element maps from a file to denoised maps, and a tilt series of them to volumes and shells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from micrograph.apps import python as mg
from micrograph.core import BadInput, MissingCalibration
from micrograph.features.volumes.projector import Projector
from micrograph.infer.volumes import exposures
from micrograph.io import open_recording
from micrograph.run import Result
from micrograph.simulate.signals.phantoms import Dots, Phantom

TILTS = tuple(range(-60, 61, 20))
SIDE = 28
QUICK = {"iterations": "15", "replicas": "2"}
FAST = {"prior": "guided", "degree": "3", "align": "no"}


def dot() -> Phantom:
    return Dots(diameter_nm=(12, 12), shell_nm=(1.8, 1.8), facets=0, side=SIDE)(np.random.default_rng(4))


def write_series(folder: Path, phantom: Phantom, **changes: object) -> Path:
    rng = np.random.default_rng(1)
    clean = np.stack([Projector(TILTS, SIDE, SIDE).forward(one) for one in phantom.share])
    counts = rng.poisson(clean * (1.5 / clean.mean()) + 0.02)
    arrays = dict(zip(phantom.elements, counts.astype(np.uint16), strict=True))
    np.savez(folder / "dot.npz", **(arrays | {"tilts_deg": TILTS, "pixel_nm": phantom.voxel_nm} | changes))
    return folder / "dot.npz"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("edx"), dot())


@pytest.fixture(scope="module")
def volumes(series: Path) -> Result:
    settings = QUICK | FAST
    return mg.analyze("edx-tomography", open_recording(series), out=series.parent / "out", settings=settings)


def test_a_dot_has_its_shell_and_its_elements_where_they_are(volumes: Result) -> None:
    phantom = dot()
    (row,) = volumes.tables["objects"].to_dict("records")
    assert row["shell_nm"] == pytest.approx(phantom.shell_nm, abs=0.3) and row["flags"] == 0
    assert row["diameter_nm"] == pytest.approx(12, abs=0.5) and row["shell_sigma_nm"] > 0
    table = volumes.tables["composition"]
    shares = {(row["region"], row["element"]): row["share"] for row in table.to_dict("records")}
    assert shares["core", "In"] > 0.95 and shares["shell", "In"] < 0.05
    assert shares["shell", "Zn"] == pytest.approx(1 / (1 + phantom.share[2].max()), abs=0.03)
    assert volumes.tables["elements"]["misfit"].between(0.85, 1.15).all()


def test_volumes_are_kept_by_element_with_their_scale_and_sigma(volumes: Result) -> None:
    again = volumes.image("Zn")
    assert again.calibration.pixel_nm == pytest.approx(dot().voxel_nm)
    for name in ("In", "In_sigma", "Zn", "Se"):
        assert (volumes.folder / "images" / f"{name}.tif").exists()


def test_the_report_shows_the_volumes(volumes: Result) -> None:
    found = {path.stem for path in (volumes.folder / "figures").glob("*.png")}
    assert {"volume-slices", "volume-views"} <= found
    assert (volumes.folder / "volume.gif").stat().st_size > 5000


def test_denoised_maps_keep_their_counts(series: Path, tmp_path: Path) -> None:
    result = mg.analyze("edx-denoise", open_recording(series)[:2], out=tmp_path / "out", settings=QUICK)
    zn = np.asarray(result.image("Zn").frame(1).data)
    with np.load(series) as kept:
        counts = kept["Zn"][1]
    assert zn.sum() == pytest.approx(counts.sum(), rel=1e-4)
    clean = Projector(TILTS, SIDE, SIDE).forward(dot().share[1])[1]
    clean *= counts.sum() / clean.sum()
    assert ((zn - clean) ** 2).mean() < 0.3 * ((counts - clean) ** 2).mean()
    assert (result.image("Zn_sigma").frame(1).data >= 0).all()
    assert set(result.summary["element"]) == {"In", "Zn", "Se"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (-np.random.default_rng(0).random((7, SIDE, SIDE)), "negative values"),
        (np.random.default_rng(0).random((7, SIDE, SIDE)), "no multiples of one value"),
        (np.arange(7 * SIDE * SIDE).reshape(7, SIDE, SIDE) % 999 == 0, "too few for a volume"),
    ],
)
def test_maps_that_are_no_counts_are_refused(values: np.ndarray, said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", Zn=values.astype(float), In=values.astype(float), tilts_deg=TILTS, pixel_nm=0.5)
    with pytest.raises(BadInput, match=said):
        mg.analyze("edx-tomography", open_recording(tmp_path / "odd.npz"))


def test_a_series_without_tilts_or_pixel_size_is_told_how_to_give_them(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).poisson(1.0, (7, SIDE, SIDE))
    np.savez(tmp_path / "bare.npz", Zn=maps, In=maps)
    with pytest.raises(MissingCalibration, match="--pixel-size"):
        mg.analyze("edx-tomography", open_recording(tmp_path / "bare.npz"))
    opened = open_recording(tmp_path / "bare.npz", pixel_nm=0.5)
    with pytest.raises(BadInput, match="does not state the tilts of its 7 views: give them with --set tilts_deg"):
        mg.analyze("edx-tomography", opened)
    with pytest.raises(BadInput, match="5 tilts, but 7 views"):
        mg.analyze("edx-tomography", opened, settings={"tilts_deg": "-40:40:20"})
    with pytest.raises(BadInput, match="has 1 views"):
        mg.analyze("edx-tomography", opened[:1])


def test_views_of_unequal_dose_are_told_by_their_sums() -> None:
    counts = np.zeros((2, 3, 32, 32), np.float32) + 0.1
    counts[:, :, 12:20, 12:20] += np.array([1.0, 2.0, 3.0], np.float32)[:, None, None]
    counts[:, 0] += 0.1
    doses, hazes = exposures(counts)
    np.testing.assert_allclose(doses, [0.5, 1.0, 1.5], rtol=0.02)
    np.testing.assert_allclose(hazes, [1.5, 0.75, 0.75], rtol=0.02)
