"""Small parts of a NeXus file: groups with their class, fields with their units, notes, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

#: What stands where NeXus asks for what nobody wrote down.
NOT_RECORDED = "not recorded"
#: Name -> value, or value and unit; ``None`` is left out.
Fields = dict[str, Any]
#: Units of our tables that NeXus (UDUNITS) writes otherwise.
_UNITS = {"deg": "degree", "degrees": "degree", "px": "pixel", "%": "percent", "kT": ""}


def unit_of(unit: str) -> str:
    """Return a unit of our tables as NeXus writes it."""
    return _UNITS.get(unit, unit)


def group(parent: h5py.Group, name: str, nx_class: str, fields: Mapping[str, Any] | None = None) -> h5py.Group:
    """Return a new group of a NeXus class with its fields."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    for key, given in (fields or {}).items():
        value, unit = given if isinstance(given, tuple) else (given, "")
        if value is None:
            continue
        made[key] = value
        if unit:
            made[key].attrs["units"] = unit_of(unit)
    return made


def note(
    parent: h5py.Group, name: str, description: str, file_name: str | None, checksum: tuple[str, str] | None = None
) -> h5py.Group:
    """Return a new NXnote; `checksum` is its algorithm and value."""
    algorithm, value = checksum or (None, None)
    said = {"description": description, "file_name": file_name, "algorithm": algorithm, "checksum": value}
    return group(parent, name, "NXnote", {key: text or None for key, text in said.items()})


def parameters(parent: h5py.Group, name: str, terms: Mapping[str, tuple[Any, str]]) -> h5py.Group:
    """Return a new NXparameters with its terms and their units."""
    return group(parent, name, "NXparameters", terms)
