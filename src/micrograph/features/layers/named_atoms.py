"""What the recipes promise alike that name every atom of a layer: atoms, defects and overview of each frame."""

from __future__ import annotations

from collections.abc import Mapping

from micrograph.core import Column
from micrograph.features.columns.occupancy import CLASS_P
from micrograph.features.columns.points import POINTS
from micrograph.features.lattices.crystal import DEFECT_COLUMNS, STRAIN_COLUMNS
from micrograph.features.overview import FRAME_COLUMNS

#: What the tables of a `Sheet` and of a `Monolayer` promise, by table.
NAMED_ATOMS: Mapping[str, tuple[Column, ...]] = {
    "objects": (*POINTS, CLASS_P, *STRAIN_COLUMNS),
    "defects": DEFECT_COLUMNS,
    "frames": FRAME_COLUMNS,
}
