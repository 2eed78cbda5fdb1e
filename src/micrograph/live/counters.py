"""What became of every frame, and how long each took: counted for the page, the run record and the user's peace."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

import numpy as np

#: Latencies of so many newest frames are kept for the figures shown.
NEWEST = 600
#: Latency (ms) of all frames is counted in bins of equal ratio: 1 ms to 1,000 s.
EDGES_MS = np.geomspace(1.0, 1e6, 241)


class Counters:
    """Frames by their fate and their latency from arrival to the written row; safe between threads.

    received: came; done: rows written; dropped: fell out of a line that was full; lost: numbers that never came; bad:
    showed nothing; repeated: came twice.
    """

    FATES = ("received", "done", "dropped", "lost", "bad", "repeated")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fates: Counter[str] = Counter(dict.fromkeys(self.FATES, 0))
        self._newest: deque[tuple[float, float]] = deque(maxlen=NEWEST)
        self._all = np.zeros(len(EDGES_MS) + 1, np.int64)

    def count(self, fate: str, number: int = 1) -> None:
        """Count `number` more frames of a fate."""
        with self._lock:
            self._fates[fate] += number

    def written(self, received_s: float) -> None:
        """Count a frame whose rows are on disk now; `received_s` is when it had come (`time.monotonic`)."""
        now = time.monotonic()
        with self._lock:
            self._fates["done"] += 1
            self._newest.append((now, 1e3 * (now - received_s)))
            self._all[np.searchsorted(EDGES_MS, 1e3 * (now - received_s))] += 1

    def __getitem__(self, fate: str) -> int:
        """Return how many frames had this fate."""
        with self._lock:
            return self._fates[fate]

    def shown(self) -> dict[str, float]:
        """Return the fates, and of the newest frames latency_ms (median), latency_p95_ms and frames_per_s."""
        with self._lock:
            fates, newest = dict(self._fates), list(self._newest)
        if not newest:
            return {**fates}
        times, latency = np.array(newest).T
        recent = times[times >= times[-1] - 10]
        rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0
        middle, late = np.percentile(latency, [50, 95])
        return {**fates, "latency_ms": float(middle), "latency_p95_ms": float(late), "frames_per_s": float(rate)}

    def record(self) -> dict[str, float]:
        """Return the fates and the percentiles of the latency of all frames (ms, to 6 %), for the run record."""
        with self._lock:
            fates, counts = dict(self._fates), np.cumsum(self._all)
        if not counts[-1]:
            return {**fates}
        upper = np.append(EDGES_MS, EDGES_MS[-1])
        ends = {f"latency_p{q}_ms": float(upper[np.searchsorted(counts, q / 100 * counts[-1])]) for q in (50, 95, 99)}
        return {**fates, **ends}
