"""How an image lies in the viewer, and the recording that its layer shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.napari.frames import Movie
from micrograph.core import BadInput, Calibration, Recording

if TYPE_CHECKING:
    from pandas import DataFrame

#: A layer as napari adds it: its data, its options, the name of its kind.
LayerData = tuple[Any, dict[str, Any], str]
#: Under which name the metadata of a layer hold the `Calibration` of its recording.
CALIBRATION = "calibration"
#: What else of a recording's metadata a layer keeps.
KEPT = ("path", "number", "notes")
#: Share of the pixels that the first contrast limits leave darker, and brighter.
_CUT = 0.001


@dataclass(frozen=True)
class Grid:
    """Pixels of an image layer in the viewer.

    shape: (H, W); frames: how many, ``None`` for one image without an axis of time; pixel_nm: what a pixel of the image
    measures; the others are the layer's own, one value an axis, so that results lie where the image lies.
    """

    shape: tuple[int, int]
    frames: int | None
    pixel_nm: float
    scale: tuple[float, ...]
    units: tuple[str, ...]
    translate: tuple[float, ...]
    axis_labels: tuple[str, ...]

    def options(self, name: str) -> dict[str, Any]:
        """Return what every layer on this grid is given."""
        return {
            "name": name,
            "scale": self.scale,
            "units": self.units,
            "translate": self.translate,
            "axis_labels": self.axis_labels,
        }

    def places(self, table: DataFrame) -> NDArray[np.float64]:
        """Return the rows of a table in pixels of the image: (N, 2) y, x, or (N, 3) with the frame first."""
        places = table[["y_nm", "x_nm"]].to_numpy(float) / self.pixel_nm
        if self.frames is None:
            return places
        return np.column_stack([table["frame"].to_numpy(float), places])


def grid_of(layer: Any) -> Grid:
    """Return the grid of an image layer whose pixel size is known."""
    pixel = pixel_nm(layer)
    if pixel is None:
        raise BadInput(f"The layer '{layer.name}' states no pixel size: give it, for example as 0.0176 nm.")
    data = pixels_of(layer)
    return Grid(
        shape=(data.shape[-2], data.shape[-1]),
        frames=data.shape[0] if data.ndim == 3 else None,
        pixel_nm=pixel,
        scale=tuple(map(float, layer.scale)),
        units=tuple(map(str, layer.units)),
        translate=tuple(map(float, layer.translate)),
        axis_labels=tuple(map(str, layer.axis_labels)),
    )


def pixels_of(layer: Any) -> Any:
    """Return the array (H, W) or (T, H, W) of an image or labels layer; refuse any other."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    if getattr(layer, "rgb", False) or data.ndim not in (2, 3):
        kind = "a colour image" if getattr(layer, "rgb", False) else f"an array of {data.ndim} axes"
        raise BadInput(
            f"The layer '{layer.name}' shows {kind}: one grey image, or a movie with the frames first, was expected."
        )
    return data


def step_in(layer: Any, axis: int, unit: str) -> float | None:
    """Return the scale of an axis of a layer in `unit`, ``None`` where the layer's own unit is no such thing."""
    import pint

    try:
        return float(f"{float(layer.scale[axis]) * float((1 * layer.units[axis]).to(unit).magnitude):.12g}")
    except pint.DimensionalityError:
        return None


def pixel_nm(layer: Any) -> float | None:
    """Return the side of a layer's pixels in nm, ``None`` where it is unknown; refuse pixels that are not square."""
    sides = step_in(layer, -2, "nm"), step_in(layer, -1, "nm")
    if sides[0] is None or sides[1] is None:
        return None
    if abs(sides[0] / sides[1] - 1) > 1e-3:
        raise BadInput(
            f"The pixels of the layer '{layer.name}' measure {sides[0]:.6g} x {sides[1]:.6g} nm: square ones were "
            "expected; open the file with micrograph, which makes them square."
        )
    return sides[0]


def recording_of(layer: Any) -> Recording:
    """Return what an image layer shows as a recording, with the scale that it has in the viewer."""
    data, known = pixels_of(layer), layer.metadata.get(CALIBRATION, Calibration())
    time = step_in(layer, 0, "s") if data.ndim == 3 else None
    calibration = replace(known, pixel_nm=pixel_nm(layer), frame_time_s=time)
    if isinstance(data, Movie):
        return replace(data.recording, read=data.frame, indices=range(len(data)), calibration=calibration)
    stills = data.ndim == 2
    return Recording(
        read=(lambda index: np.asarray(data)) if stills else (lambda index: np.asarray(data[index])),
        indices=range(1 if stills else data.shape[0]),
        calibration=calibration,
        shape=tuple(data.shape[-2:]),
        dtype=np.dtype(data.dtype).name,
        name=str(layer.name),
        metadata={name: layer.metadata[name] for name in KEPT if name in layer.metadata},
    )


def calibrate(layer: Any, known: Mapping[str, float]) -> None:
    """Give an image layer the scale that its user states, in our units by the names of `Calibration`."""
    scale, units = list(layer.scale), list(map(str, layer.units))
    if "pixel_nm" in known:
        scale[-2:], units[-2:] = [known["pixel_nm"]] * 2, ["nm", "nm"]
    if "frame_time_s" in known and len(scale) == 3:
        scale[0], units[0] = known["frame_time_s"], "s"
    if scale != list(layer.scale) or units != list(map(str, layer.units)):
        layer.scale, layer.units = scale, units
    layer.metadata[CALIBRATION] = layer.metadata.get(CALIBRATION, Calibration()).with_known(**known)


def image_layer(recording: Recording) -> LayerData:
    """Return a recording as an image layer: (H, W) for one frame, else (T, H, W), of which a frame is read at a time.

    Axes are (s, nm, nm); an axis whose scale is unknown counts pixels, or frames.
    """
    known, first = recording.calibration, np.asarray(recording.read(recording.indices[0]))
    movie = len(recording) > 1
    pixel = known.pixel_nm
    scale, units = [pixel or 1.0] * 2, ["nm" if pixel else "pixel"] * 2
    labels = ["y", "x"]
    if movie:
        scale, units = [known.frame_time_s or 1.0, *scale], ["s" if known.frame_time_s else "pixel", *units]
        labels = ["t" if known.frame_time_s else "frame", *labels]
    kept: dict[str, Any] = {name: recording.metadata[name] for name in KEPT if name in recording.metadata}
    options = {
        "name": Path(recording.name).stem,
        "scale": scale,
        "units": units,
        "axis_labels": labels,
        "colormap": "gray",
        "contrast_limits": limits_of(first),
        "rgb": False,
        "multiscale": False,
        "metadata": kept | {"scale_known": pixel is not None, CALIBRATION: known},
    }
    return (Movie(recording) if movie else first), options, "image"


def limits_of(image: NDArray[Any]) -> tuple[float, float]:
    """Return between which values to show an image (H, W): all but the darkest and brightest thousandth."""
    finite = image[np.isfinite(image)].astype(float)
    if not finite.size:
        return 0.0, 1.0
    low, high = np.quantile(finite, [_CUT, 1 - _CUT])
    if low == high:
        low, high = finite.min(), finite.max()
    return float(low), float(high if high > low else low + 1)
