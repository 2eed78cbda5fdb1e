"""Files and folders into the viewer: every format that `micrograph.io` reads, a frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from micrograph.apps.napari.grid import LayerData, image_layer
from micrograph.core import BadInput, Recording

#: What napari takes for 'read, and nothing to show'.
NOTHING: list[tuple[None]] = [(None,)]
Read = Callable[[str | Sequence[str]], Sequence[LayerData | tuple[None]]]


def reader_for(path: str | Sequence[str]) -> Read | None:
    """Return what reads a file or a folder of images; ``None`` for a list of files, which others stack."""
    return read_layers if isinstance(path, str | Path) else None


def read_layers(path: str | Sequence[str]) -> Sequence[LayerData | tuple[None]]:
    """Return a file's images as layers; what cannot be read is said in one sentence, and nothing is shown."""
    from napari.utils.notifications import show_error, show_info

    try:
        recordings = recordings_in(Path(str(path)))
        layers = [image_layer(recording) for recording in recordings]
    except BadInput as error:
        show_error(str(error))
        return NOTHING
    for recording in recordings:
        if recording.calibration.pixel_nm is None:
            show_info(unscaled(recording))
    return layers


def recordings_in(path: Path) -> list[Recording]:
    """Return what a file holds: its one recording, or all where it has several images and none stands out."""
    from micrograph.io import describe, open_recording

    try:
        return [open_recording(path)]
    except BadInput:
        rows = [row for row in describe(path) if not row["trouble"]]
        if len(rows) < 2:
            raise
    return [_named(open_recording(path, signal=row["signal"]), str(row["name"])) for row in rows]


def unscaled(recording: Recording) -> str:
    """Return the sentence that tells a user that the scale is unknown."""
    return (
        f"{recording.name} does not say how large its pixels are, so the viewer counts pixels: give their size in the "
        "widget 'micrograph', for example 0.0176 nm."
    )


def _named(recording: Recording, signal: str) -> Recording:
    return replace(recording, name=f"{Path(recording.name).stem} {signal}".strip())
