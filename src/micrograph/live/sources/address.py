"""Where frames come from, written as text: folder:PATH, zmq://HOST:PORT, replay:FILE or simulated:stm-tip."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from micrograph.core import BadInput, Calibration
from micrograph.io import open_recording
from micrograph.live.source import Source
from micrograph.live.sources.files import merged
from micrograph.live.sources.folder import FolderSource
from micrograph.live.sources.lineup import Waits
from micrograph.live.sources.replay import ReplaySource, Speed
from micrograph.live.sources.simulated import simulated
from micrograph.live.sources.zmq_stream import ZmqSource

FORMS = "folder:PATH, zmq://HOST:PORT or replay:FILE"


@dataclass(frozen=True)
class Reception:
    """How a source is read: speed of a replay ("own", "fastest" or a factor), and how long is waited, in s.

    patience_s: for a frame that is missing or cannot be read; idle_s: with nothing new, before a source counts as
    ended (never where ``None``); signal: which of several arrays in the file of a replay.
    """

    speed: Speed = "own"
    patience_s: float = 3.0
    idle_s: float | None = None
    signal: str | int | None = None

    def __post_init__(self) -> None:
        """Refuse speeds and times that make no sense."""
        if self.speed not in ("own", "fastest") and not _is_positive(self.speed):
            raise BadInput(f"The speed is '{self.speed}': 'own', 'fastest' or a factor above 0 was expected.")
        for name, value in (("patience", self.patience_s), ("idle time", self.idle_s)):
            if value is not None and not _is_positive(value):
                raise BadInput(f"The {name} is {value} s: it must be greater than zero and finite.")


def source_of(text: str, given: Calibration | None = None, reception: Reception | None = None) -> Source:
    """Return the source that `text` names; calibration values that `given` knows win over the source's own.

    Raises `BadInput`, in one sentence, for anything else, for a folder or file that is not there, and for an address
    without a port.
    """
    given, reception = given or Calibration(), reception or Reception()
    scheme, colon, rest = text.strip().partition(":")
    if colon and not rest.strip("/ ") and rest != "/":
        raise BadInput(f"The source '{text}' names nothing after '{scheme}:': {FORMS} was expected.")
    match scheme.lower() if colon else "":
        case "folder":
            return FolderSource(_folder(rest), given, Waits(patience_s=reception.patience_s), reception.idle_s)
        case "zmq":
            return ZmqSource(*_host_port(rest, text), given, reception.idle_s)
        case "replay":
            return _replay(rest, given, reception)
        case "simulated":
            return simulated(rest)
    advice = f" For a folder that is being written, write folder:{text}." if Path(text).is_dir() else ""
    advice = f" To play this recording, write replay:{text}." if Path(text).is_file() else advice
    raise BadInput(f"The source is '{text}': {FORMS} was expected.{advice}")


def _folder(text: str) -> Path:
    folder = Path(text).expanduser()
    if not folder.exists():
        raise BadInput(f"The folder {folder} does not exist: make it, or give the one that is being written.")
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder: play a recording with replay:{folder}.")
    return folder


def _host_port(rest: str, text: str) -> tuple[str, int]:
    host, colon, port = rest.removeprefix("//").rstrip("/").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not rest.startswith("//") or (colon and not host) or "/" in host:
        raise BadInput(f"The source '{text}' has no host: zmq://127.0.0.1:5555 was expected.")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadInput(f"The source '{text}' has no port from 1 to 65535: zmq://127.0.0.1:5555 was expected.")
    return host, int(port)


def _replay(rest: str, given: Calibration, reception: Reception) -> ReplaySource:
    recording = open_recording(rest, pixel_nm=given.pixel_nm, frame_time_s=given.frame_time_s, signal=reception.signal)
    known = merged(recording.calibration, given)
    return ReplaySource(replace(recording, calibration=known), reception.speed)


def _is_positive(value: float | str) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
