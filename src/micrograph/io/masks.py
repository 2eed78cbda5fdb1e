"""A user's own labels: images with masks (PNG, TIFF) or outlines (labelme, COCO, YOLO), found by what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame, Recording
from micrograph.core.provenance import digest
from micrograph.io.class_masks import ClassNames, class_mask
from micrograph.io.drawn import Drawn, coco_objects, labelme_objects, painted, read_json, yolo_objects
from micrograph.io.files import existing, natural
from micrograph.io.opening import READERS, open_recording
from micrograph.io.painted import mask_frames, mask_objects

Labels = NDArray[np.int32]
Kind = Literal["mask", "labelme", "coco", "yolo"]
#: Labels (H, W) and names (N,) of the objects in an image of a given shape.
ReadObjects = Callable[[tuple[int, int]], tuple[Labels, tuple[str, ...]]]

#: Folders that hold labels, folders that hold images.
LABEL_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annot", "segmentation", "gt")
IMAGE_FOLDERS = ("images", "image", "raw", "frames", "imgs", "img")
#: Words that tell a mask's name from its image's.
_WORD = r"(?:mask|masks|label|labels|seg|segmentation|annot|annotation|annotations|gt|instances)"
_MASK_NAME = re.compile(rf"[_\-. ]{_WORD}$", re.IGNORECASE)
#: Folders by which a data set says itself what is to be learned from, what chosen by, what judged by.
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_ROLE = re.compile(rf"(?:^|[_\-. ])(?:{_WORD}|images?|img|raw|frames?)(?=$|[_\-. \d])", re.IGNORECASE)
_SUFFIXES = frozenset((*READERS, ".dm3", ".dm4", ".ser", ".mrc", ".emd", ".hspy")) - {".npz"}


@dataclass(frozen=True)
class LabelledImage:
    """One image with its labels, both read when asked for.

    recording, position: the image; source: the file of its labels; kind: what kind of file that is.
    """

    path: Path
    recording: Recording
    position: int
    source: Path
    kind: Kind
    read: ReadObjects = field(repr=False)

    @property
    def name(self) -> str:
        """The image's file, with the number of its frame where it has several."""
        return self.path.name if len(self.recording) == 1 else f"{self.path.name}, frame {self.position}"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.recording.shape[0], self.recording.shape[1]

    @property
    def split(self) -> str:
        """'train', 'val' or 'test' where the image lies in a folder of that name, else ''."""
        return _SPLITS.get(self.path.parent.name.lower(), "")

    def frame(self) -> Frame:
        """Read the image."""
        return self.recording.frame(self.position)

    def labels(self) -> Labels:
        """Read the objects (H, W): 1 .. N inside, 0 outside; raises `BadInput` as `objects` does."""
        return self.objects()[0]

    def objects(self) -> tuple[Labels, tuple[str, ...]]:
        """Read the labels (H, W) and the names (N,) of the objects 1 .. N.

        Raises `BadInput` for labels of another size than the image, or without any object.
        """
        labels, names = self.read(self.shape)
        self._require_same_size(labels)
        if not names:
            raise BadInput(f"{self.source.name} holds no object: label some in {self.name}, or take both files away.")
        return labels, names

    def _require_same_size(self, labels: Labels) -> None:
        if labels.shape != self.shape:
            raise BadInput(
                f"{self.source.name} has {labels.shape[0]} x {labels.shape[1]} pixels, but its image {self.path.name} "
                f"has {self.shape[0]} x {self.shape[1]}: labels were expected on the image's own pixels."
            )

    def classes(self, known: ClassNames) -> tuple[Labels, tuple[str, ...]]:
        """Read the class (H, W) of every pixel, and the names of the classes 0 .. K - 1; -1 is not to be learned.

        Masks hold a colour or number a class; of outlines the names are the classes, and 0 is what they leave.
        """
        if isinstance(self.read, _Mask):
            labels, names = class_mask(self.read.path, self.read.number, known)
        else:
            objects, called = self.read(self.shape)
            names = tuple(dict.fromkeys((known.rest, *sorted(set(called)))))
            labels = np.array([0, *(names.index(name) for name in called)], np.int32)[objects]
        self._require_same_size(labels)
        return labels, names

    def digests(self) -> dict[str, str]:
        """Return the digests of the files of image and labels."""
        return {"image": digest(self.path), "labels": digest(self.source)}


def read_labels(folder: str | Path, *, several: bool = False) -> list[LabelledImage]:
    """Return the labelled images of a folder, in natural order of their names; other images in it are left alone.

    What is understood: mask pictures beside their images (NAME_mask.png, NAME-label.tif) or in a folder 'masks',
    'labels', 'annotations', 'train_annot' of their own; labelme and COCO JSON; YOLO outlines (.txt). Images are what
    `open_recording` reads. Pixels of labels are read later, by `LabelledImage.objects` or `classes`. An image may have
    `several` files of labels, one a class.

    Raises `BadInput`, in one sentence that names the file, for labels without image or labels that cannot be read.
    """
    root = existing(folder)
    if not root.is_dir():
        raise BadInput(f"{root} is a file: give the folder that holds the images and their labels.")
    files = _files(root)
    images = _Images([path for path in files if _is_image(path, root)])
    found = [one for path in files for one in _labels_in(path, root, images)]
    if not found:
        raise BadInput(
            f"{root} holds no labels among its {len(files)} files: masks (NAME_mask.png, or a folder 'masks'), "
            "labelme or COCO JSON, or YOLO outlines were expected."
        )
    if not several:
        _refuse_doubles(found)
    return sorted(found, key=lambda one: (natural(str(one.path)), one.position))


def require_images_folder(folder: Path) -> None:
    """Raise `BadInput` for a folder whose name says that it holds masks alone, where images are to go."""
    if folder.name.lower() in LABEL_FOLDERS:
        raise BadInput(f"The folder is called '{folder.name}', as folders of masks alone are: choose another name.")


def _files(root: Path) -> list[Path]:
    """Return all files of a folder and of the folders in it."""
    inside = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return sorted(inside, key=lambda path: natural(str(path)))


def _is_image(path: Path, root: Path) -> bool:
    mask = _in_folder(path, root, LABEL_FOLDERS) or _MASK_NAME.search(path.stem) is not None
    return path.suffix.lower() in _SUFFIXES and not mask


def _in_folder(path: Path, root: Path, names: Sequence[str]) -> bool:
    return any(is_named(part, names) for part in path.relative_to(root.parent).parts[:-1])


def is_named(folder: str, names: Sequence[str]) -> bool:
    """Return whether a folder's name is one of `names`, or ends in one that labels have: 'train_annot'."""
    return folder.lower() in names or (names is LABEL_FOLDERS and _MASK_NAME.search(folder) is not None)


class _Images:
    """Images by the names that their labels may have."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.known: dict[Path, Recording] = {}

    def partner(self, label: Path) -> Path | None:
        """Return the image of a file of labels: of the same name, or the same but for words like 'mask'."""
        stem = _MASK_NAME.sub("", label.stem).lower()
        same = [path for path in self.paths if path.stem.lower() in (stem, label.stem.lower())]
        alike = same or [path for path in self.paths if _key(path.stem) == _key(label.stem)]
        close = [path for path in alike if path.parent == label.parent] or alike
        if len(close) > 1:
            names = " and ".join(str(path) for path in close[:2])
            raise BadInput(f"{label.name} could belong to {names}: give every image a name of its own.")
        return close[0] if close else None

    def called(self, name: str, label: Path) -> Path:
        """Return the image that a file of labels names."""
        wanted = Path(name.replace("\\", "/"))
        close = [path for path in self.paths if path == (label.parent / wanted).resolve()]
        close = close or [path for path in self.paths if path.name == wanted.name]
        if not close:
            raise BadInput(f"{label.name} labels {wanted.name}, which is not in the folder: put the image there.")
        return close[0]

    def recording(self, path: Path) -> Recording:
        """Return an image, opened once."""
        if path not in self.known:
            self.known[path] = open_recording(path)
        return self.known[path]


def _key(stem: str) -> str:
    """Return a name without words like 'image' and 'mask': what an image and its labels share."""
    return _ROLE.sub("", stem).strip("_-. ").lower()


def _labels_in(path: Path, root: Path, images: _Images) -> Iterable[LabelledImage]:
    """Return the labelled images that a file labels, none where it is something else."""
    suffix = path.suffix.lower()
    labels = _in_folder(path, root, LABEL_FOLDERS)
    if suffix == ".json":
        return _from_json(path, images)
    if suffix == ".txt":
        return _from_yolo(path, images, labels)
    if suffix in _SUFFIXES and not _is_image(path, root):
        return _from_mask(path, images)
    return ()


def _from_mask(path: Path, images: _Images) -> list[LabelledImage]:
    image = _required(images.partner(path), path)
    recording, masks = images.recording(image), mask_frames(path)
    if masks != len(recording):
        raise BadInput(
            f"{path.name} holds {masks} masks, but its image {image.name} has {len(recording)} frames: one mask "
            "a frame was expected."
        )
    return [
        LabelledImage(image, recording, number, path, "mask", _Mask(path, number)) for number in range(len(recording))
    ]


def _from_yolo(path: Path, images: _Images, labels: bool) -> list[LabelledImage]:
    """Return the image that YOLO outlines label; any other text is left alone, unless it lies among labels."""
    image = images.partner(path)
    if image is None and (not labels or path.stem.lower() in ("classes", "readme", "license")):
        return []
    image = _required(image, path)
    classes = next(
        (each for each in (path.parent / "classes.txt", path.parent.parent / "classes.txt") if each.is_file()), None
    )
    names = [] if classes is None else classes.read_text(encoding="utf-8", errors="replace").split("\n")
    return [_single(images, image, path, "yolo", yolo_objects(path, [name.strip() for name in names]))]


def _from_json(path: Path, images: _Images) -> list[LabelledImage]:
    content = read_json(path)
    if not isinstance(content, Mapping):
        return []
    if "shapes" in content:
        named = content.get("imagePath")
        image = images.partner(path) or (images.called(str(named), path) if named else None)
        one = _single(images, _required(image, path), path, "labelme", labelme_objects(content, path.name))
        _same_size(one, content.get("imageHeight"), content.get("imageWidth"))
        return [one]
    if "annotations" in content and "images" in content:
        return _from_coco(path, content, images)
    return []


def _from_coco(path: Path, content: Mapping[str, object], images: _Images) -> list[LabelledImage]:
    found = []
    objects = coco_objects(content, path.name)
    for about in content["images"]:  # type: ignore[attr-defined]
        if not objects[about["id"]]:
            continue
        one = _single(images, images.called(str(about.get("file_name")), path), path, "coco", objects[about["id"]])
        _same_size(one, about["height"], about["width"])
        found.append(one)
    return found


def _single(images: _Images, image: Path, source: Path, kind: Kind, objects: tuple[Drawn, ...]) -> LabelledImage:
    """Return an image of one frame with objects that were drawn on it."""
    recording = images.recording(image)
    if len(recording) != 1:
        raise BadInput(
            f"{source.name} labels {image.name}, which has {len(recording)} frames: outlines were expected on single "
            "images; save the labelled frame as an image of its own, or give masks."
        )
    return LabelledImage(image, recording, 0, source, kind, partial(painted, objects))


@dataclass(frozen=True)
class _Mask:
    """Reads one mask of a file."""

    path: Path
    number: int

    def __call__(self, shape: tuple[int, int]) -> tuple[Labels, tuple[str, ...]]:
        return mask_objects(self.path, self.number)


def _same_size(one: LabelledImage, height: object, width: object) -> None:
    stated = (height, width)
    if None not in stated and stated != one.shape:
        raise BadInput(
            f"{one.source.name} was drawn on {height} x {width} pixels, but {one.path.name} has {one.shape[0]} x "
            f"{one.shape[1]}: label the image as it is."
        )


def _required(image: Path | None, label: Path) -> Path:
    if image is None:
        raise BadInput(f"{label.name} has no image beside it: an image of the same name was expected in the folder.")
    return image


def _refuse_doubles(found: Sequence[LabelledImage]) -> None:
    seen: dict[tuple[Path, int], LabelledImage] = {}
    for one in found:
        other = seen.setdefault((one.path, one.position), one)
        if other is not one:
            raise BadInput(
                f"{one.name} has two labels, {other.source.name} and {one.source.name}: leave one of them in "
                "the folder."
            )
