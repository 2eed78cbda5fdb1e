"""A searchable library of the defects of graphene with silicon (ADF-STEM).   doi:10.1126/sciadv.aaw8989"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from micrograph.core import Prediction, Task
from micrograph.core.provenance import whole
from micrograph.features.columns.second_look import read_twice
from micrograph.features.layers.fragments import (
    FRAGMENT_BONDS,
    FRAGMENTS,
    LIBRARY,
    fragment_of,
    fragments,
    library_table,
)
from micrograph.features.layers.named_atoms import NAMED_ATOMS
from micrograph.features.layers.sheet import SheetSettings
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.io import Entry, Library
from micrograph.nets import shipped
from micrograph.run import Recipe, Result
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import GRAPHENE_IMAGES
from micrograph.validate.layers.library_checks import NamedFields, bond_bias, bond_scatter, name_accuracy

#: Side of the crops that a library keeps.
CROP_NM = 1.6
#: Names that tell nothing of a defect: cut by the border, or too large.
UNNAMED = ("edge", "hole", "boundary")


@dataclass(frozen=True)
class Defects(SheetSettings):
    """Atoms and named defects of graphene, each defect with its atoms, bonds, rings and the hash of its graph."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return 'objects', 'defects', 'frames', 'fragments', 'fragment_bonds' and 'library' of one frame."""
        sheet = read_twice(prediction, self, brightness(prediction.frame.calibration))
        pixel, shape = prediction.frame.calibration.pixel_nm, prediction.frame.data.shape
        assert pixel is not None
        parts = fragments(sheet, ((shape[0] - 1) * pixel, (shape[1] - 1) * pixel))
        library = library_table(sheet.defects, parts["fragments"], parts["fragment_bonds"])
        return {**sheet.tables(), **parts, "library": library}


def build_library(result: Result, path: Path | None = None) -> Path:
    """Write the named defects of a finished run into a library and return its path.

    Without `path` that is ``library.h5`` among the run's tables, made anew. A library at `path` gets them added; raises
    `BadInput` for a file that is none.
    """
    if path is not None and path.exists():
        Library.open(path).add(library_entries(result))
        return path
    path = path or result.folder / "library.h5"
    with whole(path) as temporary:
        temporary.unlink()
        Library.create(temporary, about=result.recording.name).add(library_entries(result))
    return path


def library_entries(result: Result) -> Iterator[Entry]:
    """Yield the named defects of a finished run with their crops, frame by frame."""
    digest = str(result.record["key"]["input"]["digest"] or "")  # a stream has none
    library = result.tables["library"]
    library = library[~library["name"].isin(UNNAMED)]
    indices = list(result.recording.indices)
    for number, defects in library.groupby("frame"):
        if int(str(number)) not in indices:  # of a live run: its picture is kept no longer
            continue
        frame = result.recording.frame(indices.index(int(str(number))))
        atoms, bonds = (result.tables.of_frame(name, frame.index) for name in ("fragments", "fragment_bonds"))
        pixel = frame.calibration.pixel_nm
        assert pixel is not None
        for defect in defects.to_dict("records"):
            mine = (table[table["id"] == defect["id"]] for table in (atoms, bonds))
            first = [max(round((defect[axis] - CROP_NM / 2) / pixel), 0) for axis in ("y_nm", "x_nm")]
            last = [round((defect[axis] + CROP_NM / 2) / pixel) + 1 for axis in ("y_nm", "x_nm")]
            yield Entry(
                name=defect["name"],
                score=float(defect["score"]),
                fragment=fragment_of(*mine),
                image=np.ascontiguousarray(frame.data[first[0] : last[0], first[1] : last[1]]),
                pixel_nm=pixel,
                corner_nm=(first[0] * pixel, first[1] * pixel),
                source=result.recording.name,
                digest=digest,
                frame=frame.index,
            )


RECIPE = Recipe(
    name="defect-library",
    title="A searchable library of the defects of graphene with silicon",
    task=Task(
        question="Which defects are there, how are they bonded, and which others are bonded or look alike?",
        needs=("pixel_nm",),
        answers={
            **NAMED_ATOMS,
            "library": LIBRARY,
            "fragments": FRAGMENTS,
            "fragment_bonds": FRAGMENT_BONDS,
            "summary": SUMMARY,
        },
        reference="doi:10.1126/sciadv.aaw8989",
    ),
    data=GRAPHENE_IMAGES,
    model=shipped("graphene-1"),
    objects=Defects(),
    summary=ArealDensity(always=("C", "Si")),
    checks=(
        name_accuracy(NamedFields()),
        name_accuracy(NamedFields(affine=0.02), at_least=0.90),
        bond_bias(NamedFields(count=1, size_nm=2.8)),
        bond_scatter(NamedFields(count=1, size_nm=2.8)),
    ),
    files=build_library,
)
