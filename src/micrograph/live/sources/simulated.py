"""A simulated microscope as a source: it scans, waits until a scan is judged, and does what triggers tell it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import numpy as np

from micrograph.core import BadInput, Calibration
from micrograph.live.source import Arrival, Complain, Opened
from micrograph.simulate.scanning.stm_tip_loop import SHARP_AFTER, SimulatedMicroscope

_NAME = "stm-tip"
#: How often it is looked whether a scan is in the results; and the time that a flyback takes (s).
_POLL_S, _FLYBACK_S = 0.005, 0.05


@dataclass
class SimulatedTip:
    """The scans of a `SimulatedMicroscope`: `number` of them.

    Triggers reach it by `told`: 'pulse' or 'indent' condition the tip before the next scan. ``true_state`` is recorded
    with each scan (0 sharp, 1 double, 2 blunt), for comparison.
    """

    seed: int = 0
    number: int = 60
    microscope: SimulatedMicroscope = field(init=False)

    def __post_init__(self) -> None:
        """Make the microscope."""
        self.microscope = SimulatedMicroscope(np.random.default_rng([self.seed, 29]))
        self._orders: list[str] = []
        self._lock = threading.Lock()

    def told(self, text: str) -> str:
        """Take an order and return what becomes of it."""
        if text not in SHARP_AFTER:
            return f"failed: the simulated microscope knows {' and '.join(SHARP_AFTER)}, not '{text}'"
        with self._lock:
            self._orders.append(text)
        return f"{text} before the next scan"

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Return what all scans share; ``None`` if `stop` was set before."""
        if stop.is_set():
            return None
        scans = self.microscope.scans
        calibration = Calibration(pixel_nm=scans.pixel_nm[0], frame_time_s=60.0, value_unit="nm")
        return Opened(f"simulated:{_NAME}", calibration, (scans.side_px[0], scans.side_px[0]), "float32")

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield scan after scan, each when the one before is in the results and its orders are done."""
        for number in range(self.number):
            if stop.is_set():
                return
            if done(number):
                continue
            self._obey()
            sample = self.microscope.scan()
            yield Arrival(number, sample.image, time.monotonic(), {"true_state": sample.params["tip"]})
            while not done(number) and not stop.wait(_POLL_S):
                pass
            stop.wait(_FLYBACK_S)

    def _obey(self) -> None:
        with self._lock:
            orders, self._orders = self._orders, []
        for order in orders:
            self.microscope.condition(order)


def simulated(text: str) -> SimulatedTip:
    """Return the source of ``stm-tip``, ``stm-tip?seed=3&scans=100``; raises `BadInput` for anything else."""
    name, _, query = text.partition("?")
    wishes = dict(parse_qsl(query, keep_blank_values=True))
    if name != _NAME or set(wishes) - {"seed", "scans"} or not all(value.isdecimal() for value in wishes.values()):
        raise BadInput(
            f"The source simulated:{text} is not known: simulated:{_NAME} or simulated:{_NAME}?seed=1&scans=60 was "
            "expected, with whole numbers."
        )
    return SimulatedTip(int(wishes.get("seed", 0)), int(wishes.get("scans", 60)))
