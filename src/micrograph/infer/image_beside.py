"""The image that lies beside a spectrum image: of the same file, of another one, or a sum of its channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Recording
from micrograph.features.spectra.spectral_basis import within, without_spikes

Array = NDArray[np.float64]


def image_beside(
    asked: str, recording: Recording, energy: Array, unit: str, outliers: float = 0.0
) -> tuple[Array, NDArray[np.bool_], tuple[str, ...]]:
    """Return the image (Y, X) beside a spectrum image, which channels are left to tell, and notes for the user."""
    shape, every = recording.shape[:2], np.ones(len(energy), bool)
    beside = recording.metadata.get("image")
    part = asked.replace(" ", "").split(":")
    if len(part) == 2 and all(side.isdigit() for side in part):
        chosen = slice(int(part[0]), int(part[1]))
        if not 0 <= chosen.start < chosen.stop <= len(energy):
            raise BadInput(f"Setting image is '{asked}', but the channels are 0 to {len(energy) - 1}.")
        return _summed(recording, chosen, outliers), _without(every, chosen), ()
    if asked:
        return _placed(_opened(asked, recording), shape, asked), every, ()
    if beside is not None:
        return _placed(np.asarray(beside, float), shape, "the image beside the spectra"), every, ()
    found = _in_file(recording)
    if found is not None:
        return found[1], every, (f"The image is '{found[0]}' of the same file.",)
    step = float(np.median(np.diff(energy)))
    if unit == "eV" and energy[0] < -step and energy[-1] > 10 * step:
        width = max(3 * step, _zero_loss_width(recording, energy))
        chosen = slice(0, int(np.searchsorted(energy, width)))
        return (
            _summed(recording, chosen, outliers),
            _without(every, chosen),
            ("The image is the sum over the zero-loss peak.",),
        )
    said = "There is no image beside the spectra: their own sum stands in for it, and is known to the answers."
    return _summed(recording, slice(0, len(energy)), outliers), every, (said,)


def _without(every: NDArray[np.bool_], chosen: slice) -> NDArray[np.bool_]:
    kept = every.copy()
    kept[chosen] = False
    return kept


def _summed(recording: Recording, chosen: slice, outliers: float) -> Array:
    data = np.nan_to_num(recording.frame(0).data[..., chosen].astype(float))
    flat = data.reshape(-1, data.shape[-1])
    despiked = without_spikes(flat)[0] if flat.shape[1] > 4 else flat
    return np.asarray(within(despiked, outliers).sum(axis=1).reshape(data.shape[:2]))


def _zero_loss_width(recording: Recording, energy: Array) -> float:
    """Return up to which energy the zero-loss peak is most of the mean spectrum: three times its half width."""
    mean = np.nan_to_num(recording.frame(0).data).mean(axis=(0, 1))
    top = int(np.abs(energy).argmin())
    fallen = np.flatnonzero(mean[top:] < 0.5 * mean[top])
    return float(3 * (energy[top + fallen[0]] - energy[top])) if len(fallen) else 0.0


def _opened(asked: str, recording: Recording) -> Array:
    from micrograph.io import open_recording

    source = recording.metadata.get("path")
    if Path(asked).exists():
        return open_recording(asked).frame(0).data.astype(float)
    if source:
        return open_recording(source, signal=asked, takes=("image",)).frame(0).data.astype(float)
    raise BadInput(f"There is no image '{asked}': give a file, a signal of the recording's file, or channels as '0:3'.")


def _in_file(recording: Recording) -> tuple[str, Array] | None:
    """Return the name and the image of the first signal in the recording's file that has its places, if any."""
    from micrograph.io import describe, open_recording

    source = recording.metadata.get("path")
    if not source:
        return None
    shape = tuple(recording.shape[:2])
    for row in describe(source):
        if tuple(row["shape"]) == shape and not row["trouble"] and row["signal"] != recording.metadata.get("number"):
            opened = open_recording(source, signal=row["signal"])
            if len(opened) == 1 and opened.calibration.content == "image":
                return str(row["name"]), opened.frame(0).data.astype(float)
    return None


def _placed(image: Array, shape: tuple[int, ...], name: str) -> Array:
    """Return an image brought to the grid of the spectra (whole multiples are averaged)."""
    if image.ndim != 2 or not np.isfinite(image).any() or float(np.nanmax(image)) == float(np.nanmin(image)):
        raise BadInput(f"The image {name} is empty or no image: one of {shape[0]}x{shape[1]} places was expected.")
    ratio = [have // want for have, want in zip(image.shape, shape, strict=True)]
    if ratio[0] != ratio[1] or ratio[0] < 1 or tuple(ratio[0] * n for n in shape) != image.shape:
        raise BadInput(
            f"The image {name} has {image.shape[0]}x{image.shape[1]} pixels, the spectra {shape[0]}x{shape[1]} places: "
            "give an image of the same places."
        )
    image = np.where(np.isfinite(image), image, float(np.nanmedian(image)))
    return np.asarray(image.reshape(shape[0], ratio[0], shape[1], ratio[0]).mean(axis=(1, 3)))
