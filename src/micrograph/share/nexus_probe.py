"""What NeXus asks of a scanning probe: NXspm, or NXstm and NXafm where the mode of the scan is told.

Of the scan itself our recordings know its size, its points and the unit of its values; maker, software, tip and
controller stand as 'not recorded' where NXspm cannot do without them, and are left out where it can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput
from micrograph.share.nexus_groups import NOT_RECORDED, group

if TYPE_CHECKING:
    import h5py

#: Technique -> how NeXus calls its modes.
MODES = {
    "STM": ("constant current", "constant height"),
    "AFM": ("contact mode", "tapping mode", "non-contact mode", "peak force tapping mode"),
}


@dataclass(frozen=True)
class Probe:
    """How a scanning probe recorded: technique ('STM', 'AFM') and mode, one of `MODES`. No file of results tells."""

    technique: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        """Refuse what NeXus has no name for."""
        if self.technique is not None and self.technique not in MODES:
            raise BadInput(f"--technique is '{self.technique}': give {' or '.join(MODES)}.")
        if self.mode is not None and self.mode not in (known := MODES.get(self.technique or "", ())):
            modes = ", ".join(known) or "a --technique too"
            raise BadInput(f"--scan-mode is '{self.mode}': give {modes}.")

    @property
    def definition(self) -> str:
        """The definition that an entry of such a scan follows."""
        return f"NX{self.technique.lower()}" if self.technique and self.mode else "NXspm"


def write_probe(entry: h5py.Group, probe: Probe, given: Mapping[str, Any]) -> None:
    """Write technique, instrument and scan of the recording that `given` (of ``run.json``) describes."""
    entry["experiment_technique"] = probe.technique
    if probe.mode:
        entry["scan_mode"] = probe.mode
    if not any(one.attrs.get("NX_class") == "NXuser" for one in entry.values()):
        group(entry, "user1", "NXuser", {"name": NOT_RECORDED})
    instrument = group(entry, "instrument", "NXinstrument")
    for part in ("hardware", "software"):
        group(instrument, part, "NXfabrication", {"vendor": NOT_RECORDED, "model": NOT_RECORDED})
    if probe.definition == "NXstm":
        group(instrument, "lockin_amplifier", "NXlockin", {"active_channel": NOT_RECORDED})
    surroundings = group(instrument, "scan_environment", "NXenvironment")
    control = group(surroundings, "scan_control", "NXspm_scan_control")
    scale = given.get("calibration", {})
    binned, pixel_nm = int(scale.get("binning") or 1), scale.get("pixel_nm")
    down, across = (int(size) * binned for size in given["shape"][-2:])
    step = None if pixel_nm is None else pixel_nm / binned
    sizes = {"x": across, "y": down}
    group(control, "scan_region", "NXspm_scan_region", _sized("scan_range", sizes, step))
    points = {f"scan_points_{axis}": size for axis, size in sizes.items()}
    group(control, "mesh_scan", "NXspm_scan_pattern", points | _sized("step_size", dict.fromkeys(sizes, 1), step))


def _sized(name: str, sizes: Mapping[str, int], step_nm: float | None) -> dict[str, Any]:
    """Return lengths along x and y, nothing where the pixel is not known."""
    return {} if step_nm is None else {f"{name}_{axis}": (size * step_nm, "nm") for axis, size in sizes.items()}


def name_concepts(entry: h5py.Group) -> None:
    """Let signal and axis of every NXdata be found by the names DATA and AXISNAME too, as links, and tell the program.

    NXspm allows any name, but pynxtools 0.16 misses units of fields that are not called as the concept is. Version and
    address of the program are attributes that NXspm asks for and NXem does not know.
    """
    process = entry["process"]
    process["program"].attrs.update(version=process["version"][()], program_url=NOT_RECORDED)
    for data in entry.values():
        if data.attrs.get("NX_class") == "NXdata" and "signal" in data.attrs:
            data["DATA"] = data[data.attrs["signal"]]
            data["AXISNAME"] = data[data.attrs["axes"][0]]
