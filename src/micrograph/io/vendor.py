"""Vendor formats through rosettasciio: every reader that claims a suffix is tried in turn."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.io.axes import axis_of, instrument
from micrograph.io.files import first_line, unreadable
from micrograph.io.metadata import mapped, velox_angles
from micrograph.io.quiet import quiet
from micrograph.io.signals import Key, Signal

#: Readers of rosettasciio whose work is done here, lazily and with checks.
OWN = {"numpy", "Image", "TIFF"}
#: What a suffix most often is, tried first.
FIRST = ("MRC", "EMD", "HSPY", "DigitalMicrograph")


@dataclass(frozen=True)
class VendorArray:
    """Signal `number` of a file; the file is opened once per process and read part by part."""

    path: Path
    reader: str
    number: int

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the signal, and no more than that where its reader can."""
        with quiet():
            data = _opened(self.path, self.reader, self.path.stat().st_mtime_ns)[self.number]["data"]
            part = data[key]
            whole = part.compute(scheduler="synchronous") if hasattr(part, "dask") else part
            return np.asarray(whole)


@functools.cache
def claims() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return, for every suffix ('.dm3'), the (name, module) of the readers that claim it."""
    with quiet():
        from rsciio import IO_PLUGINS
    found: dict[str, list[tuple[str, str]]] = {}
    order = {name: number for number, name in enumerate(FIRST)}
    for plugin in sorted(IO_PLUGINS, key=lambda each: (order.get(each["name"], len(order)), each["name"])):
        for suffix in sorted({f".{each.lower()}" for each in plugin["file_extensions"]}):
            if plugin["name"] not in OWN:
                found.setdefault(suffix, []).append((plugin["name"], plugin["api"]))
    return {suffix: tuple(readers) for suffix, readers in found.items()}


def signals(path: Path) -> list[Signal]:
    """Return the signals of a vendor file; raises `BadInput` with what each reader said where none can read it."""
    refusals = []
    for name, module in claims().get(path.suffix.lower(), ()):
        # The files that a failing reader leaves open are closed, with a warning, when its error is let go.
        with quiet():
            try:
                found = _opened(path, module, path.stat().st_mtime_ns)
                return [_signal(path, module, name, number, each) for number, each in enumerate(found)]
            except Exception as error:
                refusals.append((name, first_line(error)))
    from importlib import metadata as packages

    readers = f"rosettasciio {packages.version('rosettasciio')}"
    if len(refusals) == 1:
        raise unreadable(path, f"the {refusals[0][0]} reader of {readers}", refusals[0][1])
    raise unreadable(path, f"any reader of {readers}", "; ".join(f"{name}: {said}" for name, said in refusals))


@functools.lru_cache(maxsize=4)
def _opened(path: Path, module: str, _stamp: int) -> list[dict[str, Any]]:
    reader = importlib.import_module(module)
    if path.suffix.lower() == ".emd":
        found = _emd(reader, path)
    else:
        try:
            found = reader.file_reader(str(path), lazy=True)
        except (NotImplementedError, TypeError) as error:
            if "lazy" not in str(error).lower():
                raise
            found = reader.file_reader(str(path))
    if not found:
        raise ValueError("it holds no signal")
    return cast(list[dict[str, Any]], list(found))


def _emd(reader: Any, path: Path) -> list[dict[str, Any]]:
    """Read an EMD file; of a Velox spectrum image only the images, whose reading alone needs no sparse arrays."""
    try:
        return cast(list[dict[str, Any]], reader.file_reader(str(path), lazy=True))
    except ModuleNotFoundError:
        import h5py
        from rsciio.emd._emd_velox import FeiEMDReader

        velox = FeiEMDReader(lazy=True, select_type="images", load_SI_image_stack=True)
        try:
            velox.read_file(h5py.File(path, "r"))
        except ModuleNotFoundError:
            if not velox.dictionaries:
                raise
        return cast(list[dict[str, Any]], velox.dictionaries)


def _signal(path: Path, module: str, reader: str, number: int, found: dict[str, Any]) -> Signal:
    metadata = mapped(found)
    data, general = found["data"], metadata.get("General", {})
    if not hasattr(data, "shape") or len(found["axes"]) != len(data.shape):
        raise ValueError(f"signal {number} has axes that do not fit its data")
    angles = velox_angles(found.get("original_metadata") or {}) if reader == "EMD" else {}
    axes = tuple(axis_of(stated, int(size)) for stated, size in zip(found["axes"], data.shape, strict=True))
    kept: dict[str, Any] = {key: str(general[key]) for key in ("title", "date", "time") if general.get(key)}
    if kind := metadata.get("Signal", {}).get("signal_type"):
        kept["signal_type"] = str(kind)
    return Signal(
        name=str(general.get("title") or path.name),
        array=VendorArray(path, module, number),
        dtype=np.dtype(data.dtype),
        axes=axes,
        reader=f"rosettasciio {reader}",
        stated=instrument(metadata).with_known(**angles),
        colour=bool(data.dtype.names),
        trusted=True,
        metadata=kept | _elements(metadata),
    )


def _elements(metadata: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the elements that the metadata names, for stacks of their maps."""
    named = metadata.get("Sample", {}).get("elements") or ()
    return {"elements": tuple(str(one) for one in named)} if len(named) > 0 else {}
