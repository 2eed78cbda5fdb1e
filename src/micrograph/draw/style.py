"""What all pictures share: colours that everyone can tell apart, a fixed look for every class, numbers with errors."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

#: Okabe and Ito's palette, safe for colour-blind readers (doi:10.1038/nmeth.1618).
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, RED, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
GREY = "#8A8A8A"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")


@dataclass(frozen=True)
class Look:
    """Colour and marker of a class."""

    color: str
    marker: str = "o"


#: Classes that look the same in every picture: elements, chalcogen columns, empty sites, defects, shapes.
KNOWN = {
    "atom": Look(SKY),
    "C": Look(SKY),
    "Si": Look(ORANGE, "D"),
    "W": Look(BLUE),
    "Mo": Look(BLUE),
    "V": Look(RED, "D"),
    "Nb": Look(RED, "D"),
    "Re": Look(PURPLE, "D"),
    "Se2": Look(GREEN, "s"),
    "S2": Look(GREEN, "s"),
    "Te2": Look(GREEN, "s"),
    "Se1": Look(YELLOW, "s"),
    "S1": Look(YELLOW, "s"),
    "Te1": Look(YELLOW, "s"),
    "Se0": Look(RED, "X"),
    "S0": Look(RED, "X"),
    "Te0": Look(RED, "X"),
    "vac_W": Look(RED, "X"),
    "vac_Mo": Look(RED, "X"),
    "Si1C3": Look(ORANGE),
    "Si1C4": Look(YELLOW),
    "V1": Look(RED),
    "V2": Look(PURPLE),
    "5-7": Look(GREEN),
    "SW": Look(SKY),
    "vac_Se": Look(RED),
    "vac_S": Look(RED),
    "V_W": Look(ORANGE),
    "unknown": Look(GREY, "h"),
    "particle": Look(SKY),
    "pore": Look(ORANGE),
    "round": Look(SKY),
    "square": Look(ORANGE, "s"),
    "triangle": Look(GREEN, "^"),
    "rod": Look(PURPLE, "P"),
    "concave": Look(RED, "X"),
    "hexagon": Look(YELLOW, "h"),
    "oval": Look(BLUE, "v"),
    "other": Look(GREY, "D"),
    "high": Look(ORANGE),
    "low": Look(SKY, "s"),
    "adatom": Look(RED, "^"),
    "empty": Look(GREY, "v"),
}
_FREE = tuple(Look(color, marker) for marker in MARKERS for color in (PURPLE, GREEN, YELLOW, RED, BLUE, SKY, ORANGE))
#: Colours of lines and discs on white, where yellow is faint, and over images, where blue is; that one comes last.
_ON_WHITE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, BLACK, YELLOW)
_ON_IMAGES = (ORANGE, SKY, GREEN, YELLOW, PURPLE, RED, "#FFFFFF", BLUE)
WIDTH_PX = 1000
DPI = 125
WIDTH_IN = WIDTH_PX / DPI


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for every name, in sorted order: the fixed one of a known name, else one of its own.

    Names that are not known start from a place given by the name itself, so that they rarely change between pictures.
    """
    wanted = sorted(set(map(str, names)))
    found = {name: KNOWN[name] for name in wanted if name in KNOWN}
    for name in wanted:
        if name not in found:
            start = zlib.crc32(name.encode())
            ring = [_FREE[(start + step) % len(_FREE)] for step in range(len(_FREE))]
            taken = set(found.values())
            free = (look for look in ring if look not in taken)
            found[name] = next(free, ring[0])
    return {name: found[name] for name in wanted}


def line_colors(names: Iterable[str], dark: bool = False) -> dict[str, str]:
    """Return a colour for every name, in sorted order, no two alike among eight: for lines on white, or over images.

    A known name keeps its colour unless that is taken or hard to see on that ground.
    """
    order = _ON_IMAGES if dark else _ON_WHITE
    wanted = sorted(set(map(str, names)))
    found: dict[str, str] = {}
    for name in wanted:
        color = KNOWN[name].color if name in KNOWN else order[-1]
        if color != order[-1] and color not in found.values():
            found[name] = color
    free = [color for color in order if color not in found.values()] or list(order)
    rest = [name for name in wanted if name not in found]
    found |= {name: free[k % len(free)] for k, name in enumerate(rest)}
    return {name: found[name] for name in wanted}


def new_figure(height_to_width: float = 0.6) -> Figure:
    """Return an empty white figure, 1000 px wide, whose parts arrange themselves."""
    return Figure(figsize=(WIDTH_IN, WIDTH_IN * height_to_width), dpi=DPI, layout="constrained", facecolor="white")


def to_png(figure: Figure) -> bytes:
    """Return the figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def with_error(value: float, sigma: float | None = None, unit: str = "") -> str:
    """Return a number with its 1-sigma error, both cut at the second digit of the error.

    >>> with_error(0.141987, 0.00123, "nm")
    '0.1420 ± 0.0012 nm'
    """
    ending = f" {unit}" if unit else ""
    if not math.isfinite(value):
        return f"unknown{ending}"
    if sigma is None or not math.isfinite(sigma) or sigma <= 0:
        return f"{value:.4g}{ending}"
    digits = 1 - math.floor(math.log10(sigma))
    if abs(value) < 1e-4 and sigma < 1e-4:
        power = math.floor(math.log10(max(abs(value), sigma)))
        digits = max(digits + power, 0)
        return f"({value / 10**power:.{digits}f} ± {sigma / 10**power:.{digits}f})e{power:d}{ending}"
    shown = max(digits, 0)
    return f"{round(value, digits):.{shown}f} ± {round(sigma, digits):.{shown}f}{ending}"
