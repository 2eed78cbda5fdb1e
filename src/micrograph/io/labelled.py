"""Simulated, labelled images as files that any training tool reads: picture, sites, masks, settings."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Recording, Sample
from micrograph.core.provenance import whole


def write_sample(sample: Sample, path_without_suffix: Path) -> None:
    """Write a sample as files that begin with `path_without_suffix`, each whole or not at all; older ones are replaced.

    ``.tif``: the image (H, W) float32 with its pixel size in nm in ImageJ's tags, which `open_recording` reads back.
    ``.csv``: one row a site with ``y_nm, x_nm, y_px, x_px, label`` and, where the sample has marks, ``mark``.
    ``-NAME.png``: a mask (H, W), 0..255 for 0..1. ``.json``: pixel size and settings; written last.
    """
    stem = path_without_suffix
    write_image(np.asarray(sample.image, np.float32), sample.pixel_nm, stem.with_name(f"{stem.name}.tif"))
    with whole(stem.with_name(f"{stem.name}.csv")) as temporary:
        _write_sites(sample, temporary)
    for name, mask in sample.masks.items():
        with whole(stem.with_name(f"{stem.name}-{name}.png")) as temporary:
            _write_mask(mask, temporary)
    settings = {"pixel_nm": sample.pixel_nm, **{name: float(value) for name, value in sample.params.items()}}
    with whole(stem.with_name(f"{stem.name}.json")) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def write_image(image: NDArray[Any], pixel_nm: float | None, path: Path) -> None:
    """Write an image (H, W) as TIFF with its pixel size in ImageJ's tags, whole or not at all.

    Bytes and 16-bit numbers stay what they are, all others become float32.
    """
    import tifffile

    kept = image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32)
    scale: dict[str, Any] = {} if pixel_nm is None else {"resolution": (1 / pixel_nm, 1 / pixel_nm)}
    metadata = {"axes": "YX"} | ({} if pixel_nm is None else {"unit": "nm"})
    with whole(path) as temporary:
        tifffile.imwrite(temporary, kept, imagej=True, metadata=metadata, **scale)


def file_stem(recording: Recording, index: int) -> str:
    """Return what a frame of a recording is called as a file of its own: 'run-1-frame-0007'."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(recording.name).stem)
    return f"{name}-frame-{index:04d}" if len(recording) > 1 else name


def _write_sites(sample: Sample, path: Path) -> None:
    sites, pixel = sample.sites, sample.pixel_nm
    columns = [sites.y_nm, sites.x_nm, sites.y_nm / pixel, sites.x_nm / pixel]
    names = ["y_nm", "x_nm", "y_px", "x_px", "label"]
    texts = [sites.label.tolist()]
    if sample.marks is not None:
        names, texts = [*names, "mark"], [*texts, sample.marks.tolist()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        numbers = [[f"{value:.6f}" for value in column] for column in columns]
        writer.writerows(zip(*numbers, *texts, strict=True))


def _write_mask(mask: NDArray[np.float32], path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.round(255 * np.clip(mask, 0, 1)).astype(np.uint8)).save(path)
