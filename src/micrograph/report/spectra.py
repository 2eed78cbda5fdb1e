"""Pictures of spectra that were told by an image: places, peaks, components, what is left over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Prediction
from micrograph.draw.scans import ScanMap, scan_maps_figure
from micrograph.draw.spectra import Spectrum, components_figure, residual_figure, spectra_figure, told_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Array = NDArray[np.float64]

#: So many places are shown with their spectra, from bright to faint.
_PLACES = 6


def is_told(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are places whose spectra an image told."""
    return "objects" in tables and "told_peak_eV" in tables["objects"]


def told_spectra_figures(prediction: Prediction | None) -> dict[str, Figure]:
    """Return the pictures of a map whose spectra were told by its image; {} for any other prediction."""
    if prediction is None or not {"predicted", "measured", "alike"} <= set(prediction.values):
        return {}
    values = prediction.values
    shape = (int(values["shape"][0]), int(values["shape"][1]))
    axis = prediction.frame.calibration.signal_axis
    unit, energy, step = (
        "channel" if axis is None else axis.unit,
        values["energy"],
        prediction.frame.calibration.step_nm,
    )
    found = {"told-spectra": _places(values, shape, energy, unit)}
    peak = values["peak"]
    clear = np.where(values["clear"] > 0, 1.0, np.nan)
    maps = {"image": ScanMap(values["image"], "as recorded", "gray")}
    if np.isfinite(clear).sum() > 3:
        ends = np.nanquantile(peak[:, 0] * clear, (0.02, 0.98))
        limits = (float(ends[0]), float(max(ends[1], ends[0] + 1e-6)))
        for words, number in (("peak, recorded", 0), ("peak, told by the image", 1)):
            maps[words] = ScanMap(
                (peak[:, number] * clear).reshape(shape), f"energy ({unit})", "viridis", limits=limits
            )
        maps["peak, 1-sigma"] = ScanMap((peak[:, 2] * clear).reshape(shape), f"energy ({unit})", "magma")
        found["told-peaks"] = told_figure(
            peak[:, 0] * clear, peak[:, 1] * clear, peak[:, 2], "Energy of the highest peak, place by place", unit
        )
    found["told-map"] = scan_maps_figure(maps, step, "Where the spectra peak")
    latent = {
        f"component {k + 1}": ScanMap(values["latent"][:, k].reshape(shape), "over its noise", "PuOr", True)
        for k in range(values["latent"].shape[1])
    }
    off = np.sqrt(np.mean(((values["predicted"] - values["measured"]) / values["noise"]) ** 2, axis=1))
    latent["recorded - told"] = ScanMap(off.reshape(shape), "rms over the noise", "magma")
    found["told-latent"] = scan_maps_figure(latent, step, "Components of the spectra, and how far the answers are off")
    parts = {f"component {k + 1}": part for k, part in enumerate(values["parts"][:3])}
    found["told-components"] = components_figure(energy, parts, "Components of the spectra", unit)
    left = (values["measured"] - values["predicted"]) / values["noise"]
    every = max(1, len(left) // 1500)
    found["told-residual"] = residual_figure(energy, left[::every], "What the image does not tell", unit)
    return found


def _places(values: Mapping[str, Array], shape: tuple[int, int], energy: Array, unit: str) -> Figure:
    """Return the spectra of some places, from the brightest spectrum to a faint one."""
    strength = np.abs(values["measured"] - np.median(values["measured"], axis=0)).sum(axis=1)
    order = np.argsort(-strength)
    chosen = order[np.unique(np.linspace(0.01, 0.85, _PLACES) * (len(order) - 1), return_index=False).astype(int)]
    scatter = np.sqrt(values["sigma"] ** 2 + values["noise"] ** 2)
    spectra = [
        Spectrum(values["predicted"][at], scatter[at], values["measured"][at], f"line {row}, place {column}")
        for at, row, column in zip(chosen, *np.divmod(chosen, shape[1]), strict=True)
    ]
    title = "Spectra told by the image beside those recorded (unseen)"
    return spectra_figure(energy, spectra, title, unit, "recorded units")
