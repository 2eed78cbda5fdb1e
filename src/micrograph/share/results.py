"""What the exports read of the folder of a run: its record, and the arrays of its images and maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micrograph.core import BadInput
from micrograph.run.finishing import IMAGES, MAPS, RECORD
from micrograph.run.record import read_json


def finished_run(folder: Path) -> dict[str, Any]:
    """Return the record of the finished run in a folder; raises `BadInput` where there is none."""
    record = read_json(folder / RECORD)
    if record is None or "recipe" not in record or "key" not in record:
        raise BadInput(f"{folder} holds no finished run: give the folder into which micrograph wrote its results.")
    return record


@dataclass(frozen=True)
class Kept:
    """An image, map or volume of every frame, as it lies on disk: `array` (frames, [Z,] H, W) is read in pieces.

    The values are ``factor * array`` (None: as they are); `pixel_nm` and `frame_time_s` are ``None`` where unknown.
    """

    name: str
    array: Any
    pixel_nm: float | None
    frame_time_s: float | None
    factor: float | None

    @property
    def axes(self) -> tuple[tuple[str, float | None, str], ...]:
        """Name, step and unit of each axis; the step is ``None`` where it is not known."""
        inner = tuple((name, self.pixel_nm, "nm") for name in "zyx"[-(self.array.ndim - 1) :])
        return (("frame", self.frame_time_s, "s"), *inner)


def kept_arrays(folder: Path) -> Iterator[Kept]:
    """Yield the images of a run, then its maps ('score_' before their names), in the order of their names."""
    import zarr

    for store, prefix in ((IMAGES, ""), (MAPS, "score_")):
        if not (folder / store).is_dir():
            continue
        found = zarr.open_group(folder / store, mode="r")
        layout: Any = dict(found.attrs)["layout"]
        for name in layout["names"]:
            array: Any = found[name]
            factor = array.attrs.get("scale")
            yield Kept(prefix + name, array, layout["pixel_nm"], layout.get("frame_time_s"), factor)
