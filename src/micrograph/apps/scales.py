"""The values of a calibration where people fill them in: fields of the page and of the viewer's plugin."""

from __future__ import annotations

import re

from micrograph.apps.requests import OPTIONS
from micrograph.core import Calibration
from micrograph.core.calibration import UNITS

#: What the fields of a calibration are called, with an example.
SCALES = {
    "pixel_nm": ("pixel size", "0.0176 nm"),
    "frame_time_s": ("frame time", "0.1 s"),
    "voltage_kV": ("voltage", "80 kV"),
    "convergence_mrad": ("convergence", "30 mrad"),
    "inner_mrad": ("detector, inner angle", "80 mrad"),
    "outer_mrad": ("detector, outer angle", "200 mrad"),
    "dose_e_per_A2": ("dose of a frame", "1e4 e/angstrom^2"),
    "step_nm": ("step of the scan", "0.2 nm"),
}


def scale_texts(calibration: Calibration) -> dict[str, str]:
    """Return what is known of a recording's scale as texts with units, '' where nothing is."""
    values = {name: getattr(calibration, name) for name in SCALES}
    units = UNITS | {"dose_e_per_A2": "e/angstrom^2"}
    return {name: "" if value is None else f"{value:.9g} {units[name]}" for name, value in values.items()}


def in_words(sentence: str) -> str:
    """Return an error's sentence with the names of fields in place of the options of the command line."""
    options = {option: SCALES[name][0] for name, option in OPTIONS.items()} | {"--frames": "frames", "-o": "results"}
    for option, words in options.items():
        sentence = re.sub(rf"(?<![\w-]){re.escape(option)}(?![\w-])", f"'{words}'", sentence)
    return sentence
