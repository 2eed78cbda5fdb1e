"""Objects that were drawn by hand: polygons of labelme, COCO and YOLO files, and COCO's run lengths."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
#: A normalised coordinate may lie so far outside 0..1: rounding, and outlines drawn over the edge.
_OVER_EDGE = 0.05
#: Corners by which the outline of a circle is drawn.
_CORNERS = 64


@dataclass(frozen=True)
class Drawn:
    """One object: its name, its outlines (K, 2) [y, x] in pixels (pixel centres at integers), or its pixels as runs.

    relative: the outlines are in shares of the image's sides, with the image's corner as origin. runs: lengths of
    runs of background and object in turn, down the columns, one column after the other.
    """

    name: str
    outlines: tuple[Array, ...] = ()
    relative: bool = False
    runs: tuple[int, ...] = ()

    def pixels(self, shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return rows and columns of the object's pixels in an image of `shape`."""
        from skimage import draw

        if self.runs:
            inside = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs)
            rows, columns = np.nonzero(inside.reshape(shape[::-1]).T)
            return rows, columns
        points = [outline * shape - 0.5 if self.relative else outline for outline in self.outlines]
        parts = [draw.polygon(corners[:, 0], corners[:, 1], shape) for corners in points]  # type: ignore[no-untyped-call]
        rows, columns = np.concatenate(parts, axis=1)
        return rows, columns


def painted(objects: Sequence[Drawn], shape: tuple[int, int]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return labels (H, W), 1 .. N in the order of `objects`, and their names; smaller objects lie over larger ones.

    Objects without a pixel of their own are left out.
    """
    covered = [one.pixels(shape) for one in objects]
    labels = np.zeros(shape, np.int32)
    for index in sorted(range(len(objects)), key=lambda i: -len(covered[i][0])):
        labels[covered[index]] = index + 1
    kept = np.unique(labels[labels > 0])
    number = np.zeros(len(objects) + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    return number[labels], tuple(objects[index - 1].name for index in kept)


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises `BadInput` where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path.name} is no readable JSON ({error}): save the labels again.") from error


def labelme_objects(content: Mapping[str, Any], name: str) -> tuple[Drawn, ...]:
    """Return the objects of a labelme file called `name`: polygons, circles, rectangles."""
    try:
        return tuple(_labelme_shape(shape, name) for shape in content["shapes"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(f"{name} is no complete labelme file ({error}): save it again from labelme.") from error


def _labelme_shape(shape: Mapping[str, Any], name: str) -> Drawn:
    kind, points = str(shape.get("shape_type", "polygon")), _outline(np.ravel(shape["points"]), name)
    if kind == "polygon" and len(points) >= 3:
        corners = points
    elif kind == "circle":
        radius = float(np.linalg.norm(points[1] - points[0]))
        turn = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
        corners = points[0] + radius * np.column_stack([np.sin(turn), np.cos(turn)])
    elif kind == "rectangle":
        (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
        corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    else:
        raise BadInput(
            f"{name} holds a shape '{kind}' of {len(points)} points, which encloses nothing: draw objects as polygons, "
            "circles or rectangles."
        )
    return Drawn(str(shape.get("label", "object")), (corners - 0.5,))


def coco_objects(content: Mapping[str, Any], name: str) -> dict[int, tuple[Drawn, ...]]:
    """Return the objects of a COCO file called `name` by the number of their image."""
    try:
        names = {one["id"]: str(one["name"]) for one in content.get("categories", ())}
        found: dict[int, list[Drawn]] = {one["id"]: [] for one in content["images"]}
        sizes = {one["id"]: (int(one["height"]), int(one["width"])) for one in content["images"]}
        for one in content["annotations"]:
            number = one["image_id"]
            found[number].append(_coco_object(one, names.get(one.get("category_id"), "object"), sizes[number], name))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{name} is no complete COCO file ({error!r}): export the labels again.") from error
    return {number: tuple(objects) for number, objects in found.items()}


def _coco_object(one: Mapping[str, Any], label: str, shape: tuple[int, int], name: str) -> Drawn:
    marked = one.get("segmentation")
    if not marked:
        raise BadInput(f"{name} holds boxes without outlines: masks were expected; export polygons or run lengths.")
    if isinstance(marked, list):
        return Drawn(label, tuple(_outline(np.asarray(ring), name) - 0.5 for ring in marked))
    counts = marked["counts"]
    runs = tuple(decoded(counts) if isinstance(counts, str) else map(int, counts))
    if tuple(marked["size"]) != shape or sum(runs) != shape[0] * shape[1] or min(runs) < 0:
        raise BadInput(
            f"{name} holds run lengths of {sum(runs)} pixels for an image of {shape[0]} x {shape[1]}: "
            "export the labels again."
        )
    return Drawn(label, runs=runs)


def decoded(text: str) -> list[int]:
    """Return the run lengths that COCO writes as text: groups of 5 bits, from the third on as differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def yolo_objects(path: Path, names: Sequence[str] = ()) -> tuple[Drawn, ...]:
    """Return the objects of a YOLO file: a line each with class and corners ``x y`` in shares of the image's sides."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"Line {number} of {path.name}"
        try:
            kind, *values = line.split()
            outline = _outline(np.array(values, float), where)
            label = names[int(kind)] if int(kind) < len(names) else kind
        except ValueError as error:
            raise BadInput(
                f"{where} holds more than a class and numbers: 'class x1 y1 x2 y2 ...' was expected."
            ) from error
        if len(outline) == 2:
            raise BadInput(f"{where} holds a box: outlines were expected; export polygons (segmentation), not boxes.")
        if len(outline) < 3 or outline.min() < -_OVER_EDGE or outline.max() > 1 + _OVER_EDGE:
            raise BadInput(
                f"{where} is no outline: three corners or more, as shares of the image's sides, were expected."
            )
        found.append(Drawn(label, (outline,), relative=True))
    return tuple(found)


def _outline(values: NDArray[Any], where: str) -> Array:
    """Return numbers x1 y1 x2 y2 ... as corners (K, 2) [y, x]."""
    if values.size % 2 or not np.isfinite(values.astype(float)).all():
        raise BadInput(f"{where} has an outline of {values.size} numbers: finite pairs x y were expected.")
    return values.astype(float).reshape(-1, 2)[:, ::-1]
