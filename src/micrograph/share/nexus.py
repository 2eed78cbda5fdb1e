"""The folder of a run as one NeXus file (HDF5): what was done to which recording, its tables, and its images.

The entry follows NXem (NeXus definitions v2026.01, doi:10.1107/S1600576714027575) where the people tell what NXem must
know and no file of results holds: when the specimen was prepared, of which elements it is, when it was recorded. That
of a scanning probe follows NXspm where they tell the technique, and NXstm or NXafm where they tell the mode too.
Without that it is a NeXus entry of the base classes alone. Tables and images are NXdata, which every reader of NeXus
shows; both are copied piece by piece, so memory does not grow with the recording.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import BadInput
from micrograph.core.calibration import UNITS
from micrograph.core.provenance import versions, whole
from micrograph.share.crate import About
from micrograph.share.nexus_data import write_images, write_tables
from micrograph.share.nexus_groups import NOT_RECORDED, Fields, group, note, parameters
from micrograph.share.nexus_probe import Probe, name_concepts, write_probe
from micrograph.share.results import finished_run

if TYPE_CHECKING:
    import h5py

#: Of which release of the NeXus definitions the names are.
DEFINITIONS = "v2026.01"


@dataclass(frozen=True)
class Specimen:
    """What NXem must know and only the people do. Dates are ISO 8601 with their time zone, elements symbols."""

    name: str | None = None
    elements: tuple[str, ...] = ()
    prepared: str | None = None
    recorded: str | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        """Refuse dates without a time zone and what is no element."""
        from ase.data import atomic_numbers

        for name in ("prepared", "recorded"):
            if (date := getattr(self, name)) is not None:
                object.__setattr__(self, name, _with_zone(f"--{name}", date))
        if unknown := [symbol for symbol in self.elements if symbol not in atomic_numbers or symbol == "X"]:
            raise BadInput(f"--elements has '{unknown[0]}', which is no element: give symbols, \"Mo,Se\".")

    @property
    def missing(self) -> tuple[str, ...]:
        """The options that would make the entry one of NXem."""
        given = {"--elements": self.elements, "--prepared": self.prepared, "--recorded": self.recorded}
        return tuple(option for option, value in given.items() if not value)


def _with_zone(option: str, date: str) -> str:
    """Return a date as NeXus writes it; refuse one without a time zone."""
    try:
        read = datetime.fromisoformat(date)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise BadInput(f"{option} is '{date}': give a date with its time zone, 2026-05-03T14:00+02:00.")
    return read.isoformat(timespec="seconds")


@dataclass(frozen=True)
class Claim:
    """Which definition of NeXus an entry follows, '' for none, and then why not."""

    definition: str = ""
    why: str = ""


def write_nexus(
    folder: Path, path: Path, about: About | None = None, specimen: Specimen | None = None, probe: Probe | None = None
) -> Claim:
    """Write the results in `folder` as the NeXus file `path`; return which definition its entry follows.

    Raises `BadInput` where the folder holds no finished run.
    """
    import h5py

    about, specimen, probe = about or About(), specimen or Specimen(), probe or Probe()
    record = finished_run(folder)
    given = record["key"]["input"]
    claim = _claim(given, specimen, probe)
    with whole(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            NX_class="NXroot",
            creator="micrograph",
            creator_version=versions().get("micrograph", "unknown"),
            default="entry",
        )
        file.attrs.update(file_name=path.name, file_time=_now(), NeXus_release=DEFINITIONS)
        entry = group(file, "entry", "NXentry", {"title": _title(record, about)})
        if claim.definition:
            entry["definition"] = claim.definition
            entry["definition"].attrs["version"] = DEFINITIONS
        _people(entry, record, about, specimen, claim.definition)
        scale = given.get("calibration", {})
        _scale(entry, scale)
        if claim.definition == "NXem" and (scale.get("voltage_kV") or scale.get("convergence_mrad")):
            _microscope(entry, scale)
        elif claim.definition not in ("", "NXem"):
            write_probe(entry, probe, given)
        _process(entry, record, folder)
        shown = [*write_images(entry, folder, scale.get("value_unit", "")), *write_tables(entry, folder)]
        if claim.definition not in ("", "NXem"):
            name_concepts(entry)
        if shown:
            entry.attrs["default"] = shown[0]
    return claim


def _claim(given: Mapping[str, Any], specimen: Specimen, probe: Probe) -> Claim:
    """Return which definition the entry of a recording can follow."""
    if given.get("calibration", {}).get("value_unit") or probe.technique:
        if probe.technique:
            return Claim(probe.definition)
        return Claim(why="it was recorded by a scanning probe, --technique STM or AFM would make it NXspm")
    missing = ", ".join(specimen.missing)
    return Claim(why=f"{missing} would make it NXem") if missing else Claim("NXem")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _title(record: Mapping[str, Any], about: About) -> str:
    return about.title or f"{record['recipe']['title']}: {record['key']['input'].get('name', 'recording')}"


def _people(entry: h5py.Group, record: Mapping[str, Any], about: About, specimen: Specimen, definition: str) -> None:
    """Write who and what: user, reference, recording, specimen."""
    given, reference = record["key"]["input"], str(record["recipe"].get("reference", ""))
    if specimen.recorded:
        entry["start_time"] = specimen.recorded
    entry["experiment_description"] = f"Analysis of {given.get('name', 'a recording')} by micrograph"
    if about.author:
        user = group(entry, "user1", "NXuser", {"name": about.author})
        if about.orcid:
            user["identifier_orcid"] = about.orcid
            user["identifier_orcid"].attrs["type"] = "ORCID"
    if reference.startswith("doi:"):
        group(entry, "cite1", "NXcite", {"doi": reference.removeprefix("doi:")})
    kind, _, digest = str(given.get("digest", "")).partition(":")
    note(entry, "note1", f"The recording; shape {given.get('shape')}", str(given.get("name", "")), (kind, digest))
    if specimen.prepared or specimen.elements or specimen.name or specimen.simulated:
        group(entry, "sample", "NXsample", _sample(specimen, definition))


def _sample(specimen: Specimen, definition: str) -> Fields:
    """Return what is known of a specimen; NXspm has no place of its own for elements and simulations."""
    named: Fields = {"name": specimen.name, "preparation_date": specimen.prepared}
    elements = ", ".join(specimen.elements) or None
    if definition in ("", "NXem"):
        return named | {"is_simulation": specimen.simulated, "atom_types": elements}
    kind = "simulated data" if specimen.simulated else "sample"
    return named | {"type": kind, "description": elements and f"It is of {elements}."}


def _scale(entry: h5py.Group, scale: Mapping[str, Any]) -> None:
    """Write all that is known of the scale, as it was used for the analysis."""
    known: dict[str, tuple[Any, str]] = {}
    for name, value in scale.items():
        if isinstance(value, int | float | str) and value != "" and not isinstance(value, bool):
            known[name] = (value, UNITS.get(name, ""))
    if axis := scale.get("signal_axis"):
        known |= {f"signal_axis_{name}": (axis[name], axis["unit"]) for name in ("scale", "offset")}
    parameters(entry, "calibration", known)


def _microscope(entry: h5py.Group, scale: Mapping[str, Any]) -> None:
    """Write what the microscope was set to, where NXem has it."""
    measurement = group(entry, "measurement", "NXem_measurement")
    built = group(measurement, "instrument", "NXem_instrument")
    group(built, "fabrication", "NXfabrication", {"vendor": NOT_RECORDED, "model": NOT_RECORDED})
    group(built, "ebeam_column", "NXebeam_column")
    event = group(measurement, "event1", "NXem_event_data")
    used = group(event, "instrument", "NXem_instrument")
    column = group(used, "ebeam_column", "NXebeam_column")
    if scale.get("voltage_kV"):
        group(column, "electron_source", "NXsource", {"voltage": (scale["voltage_kV"], "kV"), "probe": "electron"})
    if scale.get("convergence_mrad"):
        group(used, "optics", "NXem_optical_system", {"semi_convergence_angle": (scale["convergence_mrad"], "mrad")})


def _process(entry: h5py.Group, record: Mapping[str, Any], folder: Path) -> None:
    """Write what was done: program, versions, recipe, settings, weights, warnings, and the run's own record."""
    key, used = record["key"], dict(record.get("versions", {}))
    ended = datetime.fromtimestamp((folder / "run.json").stat().st_mtime, UTC).isoformat(timespec="seconds")
    said: Fields = {
        "program": "micrograph", "version": used.get("micrograph", "unknown"), "date": ended, "sequence_index": 1,
    }  # fmt: skip
    process = group(entry, "process", "NXprocess", said)
    settings = {name: (_plain(value), "") for name, value in key.get("settings", {}).items()}
    parameters(process, "settings", {"recipe": (record["recipe"]["name"], "")} | settings)
    kind, _, digest = str(key.get("weights", "")).partition(":")
    if digest:
        note(process, "weights", "Digest of the network's weights", None, (kind, digest))
    if record.get("warnings"):
        note(process, "warnings", "\n".join(map(str, record["warnings"])), None)
    run = note(process, "run", "The record of the run", "run.json")
    run["type"] = "application/json"
    run["data"] = np.bytes_((folder / "run.json").read_bytes())
    parameters(process, "versions", {name: (str(version), "") for name, version in used.items()})


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else json.dumps(value)
