"""Measure the recipes on real images that you have: defects in a library of named crops, lattice constants of scans.

python -m benchmarks.real library FOLDER            FOLDER/<defect name>/*.hdf5 (field "scan size" in pm)
python -m benchmarks.real lattice FILE PIXEL_NM A_NM
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from micrograph.core import Calibration, Frame
from micrograph.infer import load_predictor
from micrograph.io import open_recording
from micrograph.recipes import find_recipe


def library(folder: Path, radius_nm: float = 0.15) -> float:
    """Return the share of crops in which the defect at the stored place carries the folder's name; print the others."""
    recipe = find_recipe("graphene-dopants")
    predict = load_predictor(recipe.model.weights or "")
    files = sorted(folder.glob("*/*.hdf5"))
    right = 0
    for path in files:
        frame, (y, x) = crop(path)
        defects = recipe.objects(predict(frame))["defects"]
        near = defects[np.hypot(defects["y_nm"] - y, defects["x_nm"] - x) < radius_nm]
        if path.parent.name in set(near["name"]):
            right += 1
        else:
            print(f"{path.parent.name}/{path.name}: found {', '.join(near['name']) or 'nothing'}")
    print(f"{right} of {len(files)} crops carry the folder's name ({right / len(files):.1%})")
    return right / len(files)


def crop(path: Path) -> tuple[Frame, tuple[float, float]]:
    """Return a file of a library of crops: the image, and where (nm) the middle of its silicon is stored to be."""
    import h5py

    with h5py.File(path) as file:
        image = np.asarray(file["nn_input"][0, :, :, 0], np.float32)
        pixel = float(file["nn_input"].attrs["scan size"]) / 1e3 / image.shape[1]
        rows = file[next(key for key in file if "coord" in key)][()]
    y, x = np.array([[float(row[1]), float(row[0])] for row in rows if row[2] == b"Si"]).mean(axis=0) * pixel
    return Frame(image, 0, Calibration(pixel_nm=pixel, voltage_kV=60.0)), (float(y), float(x))


def lattice(path: Path, pixel_nm: float | None, a_nm: float) -> float:
    """Return and print the relative deviation of the measured lattice constant from `a_nm`; print doubles and holes."""
    recipe = find_recipe("tmd-defects")
    tables = recipe.objects(
        load_predictor(recipe.model.weights or "")(open_recording(path, pixel_nm=pixel_nm).frame(0))
    )
    row, sites = tables["frames"].iloc[0], tables["objects"]
    place = sites[["y_nm", "x_nm"]].to_numpy()
    doubles = len(cKDTree(place).query_pairs(0.12))
    deviation = float(row["a_nm"]) / a_nm - 1
    print(f"{path.name}: a = {row['a_nm']:.4f} +- {row['a_sigma_nm']:.4f} nm, {deviation:+.2%} from {a_nm} nm")
    print(f"  {row['notes']}")
    print(f"  {len(sites)} sites on {row['area_nm2']:.1f} nm^2, pairs closer than 0.12 nm: {doubles}")
    print(f"  {sites['class'].value_counts().to_dict()}")
    return deviation


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["library", folder]:
            library(Path(folder))
        case ["lattice", path, pixel, a]:
            lattice(Path(path), float(pixel) if float(pixel) > 0 else None, float(a))
        case _:
            sys.exit(__doc__)
