"""The folder of a run as a research object: RO-Crate 1.1 with the Process Run profile (doi:10.3233/DS-210053).

One file is added, ``ro-crate-metadata.json``: which program made which files from which input, with which settings and
weights, what every column of the tables means and its unit, and a digest of every file. Repositories (Zenodo,
WorkflowHub) and people read it; nothing else in the folder changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from micrograph.core import BadInput
from micrograph.core.provenance import digest, whole
from micrograph.io import read_columns
from micrograph.share.results import finished_run

NAME = "ro-crate-metadata.json"
_CRATE, _PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
#: Words that the context of RO-Crate 1.1 lacks, from that of its profiles for runs.
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
#: What files of a run are, by suffix.
_FORMATS = {
    ".csv": "text/csv", ".parquet": "application/vnd.apache.parquet", ".json": "application/json", ".png": "image/png",
    ".html": "text/html", ".mp4": "video/mp4", ".gif": "image/gif", ".tif": "image/tiff", ".h5": "application/x-hdf5",
}  # fmt: skip
#: Unit in a table -> its code by UN/CEFACT, where there is one.
_CODES = {"nm": "C45", "s": "SEC", "degree": "DD", "kV": "KVT", "eV": "A53", "K": "KEL"}

Entity = dict[str, Any]


@dataclass(frozen=True)
class About:
    """What only the people know: a title, who made it, the address of their ORCID, and of the licence (or words)."""

    title: str | None = None
    author: str | None = None
    orcid: str | None = None
    license: str = "Not stated: ask the people who made it."

    def __post_init__(self) -> None:
        """Refuse an ORCID that is no address of one, and one without a name."""
        if self.orcid is not None and not self.orcid.startswith("https://orcid.org/"):
            raise BadInput(f"The ORCID is '{self.orcid}': give its address, https://orcid.org/0000-0000-0000-0000.")
        if self.orcid is not None and self.author is None:
            raise BadInput("An ORCID needs the author's name beside it.")


def write_crate(folder: Path, about: About | None = None) -> Path:
    """Write ``ro-crate-metadata.json`` into the folder of a finished run and return its path.

    Raises `BadInput` where the folder holds no finished run.
    """
    about = About() if about is None else about
    record = finished_run(folder)
    files = sorted(path for path in folder.rglob("*") if _is_part(path, folder))
    parts = [_file(path, folder) for path in files]
    columns = {path.stem: read_columns(path) for path in files if path.suffix == ".parquet" and path.parent == folder}
    measured = [
        {"@id": f"#{table}.{name}", "@type": "PropertyValue", "name": name, "description": column.about or name}
        | ({"unitText": column.unit} if column.unit else {})
        | ({"unitCode": _CODES[column.unit]} if column.unit in _CODES else {})
        for table, found in columns.items()
        for name, column in found.items()
    ]
    for part in parts:
        table = Path(part["@id"]).stem
        if Path(part["@id"]).suffix in (".csv", ".parquet") and table in columns:
            part["variableMeasured"] = [_at(f"#{table}.{name}") for name in columns[table]]
    ended = datetime.fromtimestamp((folder / "run.json").stat().st_mtime, UTC).isoformat(timespec="seconds")
    graph = [*_heads(record, about, parts, ended), *_run(record, about, parts, ended), *parts, *measured]
    if about.author is not None:
        graph.append({"@id": about.orcid or "#author", "@type": "Person", "name": about.author})
    if about.license.startswith("https://"):
        graph.append({"@id": about.license, "@type": "CreativeWork", "name": about.license.rstrip("/").split("/")[-1]})
    content = {"@context": [f"{_CRATE}/context", _TERMS], "@graph": graph}
    with whole(folder / NAME) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder / NAME


def _is_part(path: Path, folder: Path) -> bool:
    """Return whether a file belongs to the crate: every file of the run but the crate itself and arrays in pieces."""
    inner = path.relative_to(folder).parts
    return path.is_file() and path.name != NAME and not any(part.endswith(".zarr") for part in inner)


def _file(path: Path, folder: Path) -> Entity:
    kind = _FORMATS.get(path.suffix.lower())
    return {
        "@id": path.relative_to(folder).as_posix(),
        "@type": "File",
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "sha256": digest(path).removeprefix("sha256:"),
        **({"encodingFormat": kind} if kind else {}),
    }


def _heads(record: Mapping[str, Any], about: About, parts: list[Entity], ended: str) -> list[Entity]:
    """Return the description of the crate itself, and of the run's folder."""
    recipe, given = record["recipe"], record["key"]["input"]
    title = about.title or f"{recipe['title']}: {given.get('name', 'recording')}"
    words = f"Analysis of {given.get('name', 'a recording')} ({record.get('frames', 0)} frames) by micrograph"
    return [
        {
            "@id": NAME, "@type": "CreativeWork", "conformsTo": _at(_CRATE), "about": _at("./"),
        },
        {
            "@id": "./", "@type": "Dataset", "name": title, "datePublished": ended,
            "license": _at(about.license) if about.license.startswith("https://") else about.license,
            "description": f"{words}, recipe '{recipe['name']}' ({recipe.get('reference', '')}).",
            "conformsTo": _at(_PROFILE), "hasPart": [_at(part["@id"]) for part in parts], "mentions": _at("#run"),
            **({"author": _at(about.orcid or "#author")} if about.author else {}),
        },
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
    ]  # fmt: skip


def _run(record: Mapping[str, Any], about: About, parts: list[Entity], ended: str) -> list[Entity]:
    """Return the run: what was done, by which program and weights, to which input, with which settings."""
    key, given = record["key"], record["key"]["input"]
    settings = [
        {"@id": f"#setting.{name}", "@type": "PropertyValue", "name": name, "value": json.dumps(value)}
        for name, value in {**key.get("settings", {}), "weights": key.get("weights", "")}.items()
    ]
    calibration = [
        {"@id": f"#calibration.{name}", "@type": "PropertyValue", "name": name, "value": json.dumps(value)}
        for name, value in given.get("calibration", {}).items()
        if value not in (None, "", [])
    ]
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    input_file: Entity = {
        "@id": "#input", "@type": "CreativeWork", "name": given.get("name", "recording"),
        "identifier": given.get("digest", ""), "description": f"The recording, of shape {given.get('shape')}.",
        "additionalProperty": [_at(one["@id"]) for one in calibration],
    }  # fmt: skip
    return [
        {
            "@id": "#run", "@type": "CreateAction", "name": f"Recipe {record['recipe']['name']}",
            "description": "; ".join(record.get("warnings", [])) or "Without warnings.", "endTime": ended,
            "instrument": _at("#micrograph"), "actionStatus": "http://schema.org/CompletedActionStatus",
            **({"agent": _at(about.orcid or "#author")} if about.author else {}),
            "object": [_at("#input"), *(_at(one["@id"]) for one in settings)],
            "result": [_at(part["@id"]) for part in parts],
        },
        {
            "@id": "#micrograph", "@type": "SoftwareApplication", "name": "micrograph",
            "softwareVersion": record.get("versions", {}).get("micrograph", "unknown"),
            "softwareRequirements": versions or "unknown",
        },
        input_file, *settings, *calibration,
    ]  # fmt: skip


def _at(name: str) -> dict[str, str]:
    return {"@id": name}
