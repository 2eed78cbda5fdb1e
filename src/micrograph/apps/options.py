"""Options that several commands share, and the one definition of what any analysis is asked to do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from micrograph.apps.scans import ENERGY_AXIS, PATTERN_PIXEL
from micrograph.core import BadInput

if TYPE_CHECKING:
    from micrograph.apps.requests import Request

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name from 'micrograph recipes'.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder that receives the results.")]
PixelSize = Annotated[str | None, typer.Option(help='Size of a pixel, for example "0.0176 nm"; overrides the file.')]
Voltage = Annotated[str | None, typer.Option(help='Acceleration voltage, for example "80 kV".')]
Resume = Annotated[bool, typer.Option("--resume", help="Go on after a crash.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def requested(
    recipe: RecipeName,
    pixel_size: PixelSize = None,
    frame_time: Annotated[str | None, typer.Option(help='Time of a frame, for example "0.5 s".')] = None,
    voltage: Voltage = None,
    convergence: Annotated[str | None, typer.Option(help='Semi-angle of the probe, for example "30 mrad".')] = None,
    inner: Annotated[str | None, typer.Option(help='Inner angle of the detector, for example "80 mrad".')] = None,
    outer: Annotated[str | None, typer.Option(help='Outer angle of the detector, for example "200 mrad".')] = None,
    dose: Annotated[str | None, typer.Option(help='Dose of a frame, for example "1e4 e/angstrom^2".')] = None,
    frames: Annotated[str | None, typer.Option(help="First and end frame of a recording, for example 0:100.")] = None,
    log: Annotated[
        Path | None, typer.Option(readable=False, help="Log of the heating or biasing holder, or any table over time.")
    ] = None,
    log_start: Annotated[str | None, typer.Option(help='Time of the log at the first frame, "12 s".')] = None,
    signal: Annotated[str | None, typer.Option(help="Signal in the file, by name or number.")] = None,
    scan_step: Annotated[
        str | None, typer.Option(help='Distance of neighbouring places of a 4D-STEM scan, "0.2 nm".')
    ] = None,
    pattern_pixel: Annotated[
        str | None, typer.Option(help='Angle of a pixel of a diffraction pattern, "0.43 mrad" or "0.2 1/nm".')
    ] = None,
    energy_axis: Annotated[
        str | None, typer.Option(help='Step and first of the energies of spectra, "0.01 eV, 0.2 eV".')
    ] = None,
    scan_shape: Annotated[
        str | None, typer.Option(help="Lines x places of a 4D-STEM scan whose patterns are one series: 64x64.")
    ] = None,
    raw_layout: Annotated[
        str | None, typer.Option(help='What a file without a head holds: "64x64x128x128 uint16 offset=0 gap=0".')
    ] = None,
    weights: Annotated[list[Path] | None, typer.Option(help="Own weights; repeat for an ensemble.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    bin_: Annotated[
        int | None, typer.Option("--bin", min=1, help="Average so many pixels into one; default: as the objects allow.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe's setting.")
    ] = None,
) -> Request:
    """Return what the options of an analysis ask for; its parameters are those options."""
    from micrograph.apps import requests

    return requests.Request(
        recipe=recipe,
        calibration={
            "pixel_nm": pixel_size,
            "frame_time_s": frame_time,
            "voltage_kV": voltage,
            "convergence_mrad": convergence,
            "inner_mrad": inner,
            "outer_mrad": outer,
            "dose_e_per_A2": dose,
            "step_nm": scan_step,
            PATTERN_PIXEL: pattern_pixel,
            ENERGY_AXIS: energy_axis,
        },
        frames=frames,
        log=log,
        log_start=log_start,
        signal=signal,
        scan_shape=scan_shape,
        raw_layout=raw_layout,
        weights=tuple(weights or ()),
        device=device,
        bin=bin_,
        settings=parse_settings(set_ or []),
    )


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """Return ``key=value`` texts as a dictionary."""
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise BadInput(f"--set was given '{pair}': write it as key=value.")
        settings[key.strip()] = value.strip()
    return settings


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of any analysis in place of its parameter `request`, which it is called with.

    On the command line the recipe comes first, then what the command itself must be given.
    """
    shared = inspect.signature(requested, eval_str=True, locals={"Request": object}).parameters
    own = dict(inspect.signature(command, eval_str=True, locals={"Request": object}).parameters)
    del own["request"]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        request = requested(**{name: given.pop(name) for name in shared})
        command(request=request, **given)

    parameters = (*shared.values(), *own.values())
    ordered = sorted(parameters, key=lambda one: one.default is not one.empty)
    signature = inspect.Signature([one.replace(kind=one.KEYWORD_ONLY) for one in ordered])
    called.__signature__ = signature  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in ordered}
    return called
