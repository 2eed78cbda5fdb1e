"""A live analysis: how late its rows and its page are, what it drops, and whether its memory stays flat."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.measured import Measured
from micrograph.core import Recording
from micrograph.live.board import Row
from micrograph.live.engine import Engine
from micrograph.live.source import Arrival, Complain, Opened, Source
from micrograph.live.sources.replay import ReplaySource
from micrograph.live.web.server import serving
from micrograph.simulate.objects.particle_movies import View, brownian_movie

SIDE, RATE, MINUTES, SCENES, PIXEL_NM = 512, 10.0, 10.0, 100, 0.193


def live(quick: bool) -> list[Measured]:
    """Replay 512 x 512 pixels at 10 frames/s through `liquid-cell` with its page open, then four times too fast."""
    movie = _movie()
    with tempfile.TemporaryDirectory() as name:
        paced = _paced(movie, Path(name) / "paced", 0.5 if quick else MINUTES)
        over = _overload(movie, Path(name) / "over", 10.0 if quick else 60.0)
    return [*paced, *over]


@dataclass(frozen=True)
class Camera:
    """Frames at a pace that is not held up by anyone: what is not taken in time is lost."""

    movie: Recording
    rate: float
    frames: int

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Return what the movie says of itself."""
        shape = (self.movie.shape[0], self.movie.shape[1])
        return Opened("camera", self.movie.calibration, shape, self.movie.dtype, lossless=False)

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield a frame whenever its time has come."""
        began = time.monotonic()
        for number in range(self.frames):
            if stop.wait(max(0.0, began + number / self.rate - time.monotonic())):
                return
            yield Arrival(number, self.movie.read(number), time.monotonic())


class _Page:
    """A browser's part: listens to the news, says that it is ready, and notes when each frame was told."""

    def __init__(self, address: str) -> None:
        self.told: dict[int, float] = {}
        self.newest = -1
        self._thread = threading.Thread(target=self._listen, args=(address,), daemon=True)
        self._thread.start()

    def _listen(self, address: str) -> None:
        import httpx
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        parts = urlsplit(address)
        with httpx.Client(follow_redirects=True) as client:
            client.get(address)
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        own = f"{parts.scheme}://{parts.netloc}"
        headers = {"Cookie": cookies, "Origin": own}
        try:
            with connect(f"ws://{parts.netloc}/api/main/news", additional_headers=headers, origin=None) as socket:
                while True:
                    socket.send(json.dumps({"ready": True}))
                    state = json.loads(socket.recv())
                    now = time.monotonic()
                    if state["frames"]:
                        for frame in range(self.newest + 1, state["frames"][1] + 1):
                            self.told[frame] = now
                        self.newest = max(self.newest, state["frames"][1])
        except (ConnectionClosed, ssl.SSLError, OSError):
            return


def _movie() -> Recording:
    """Return a recording without end: particles that move in a liquid cell, forward and backward in time."""
    view = View(SCENES, (SIDE, SIDE), PIXEL_NM, 1 / RATE)
    taken = brownian_movie(np.random.default_rng(5), view=view).recording
    forward: list[NDArray[np.uint16]] = [taken.read(index).astype(np.uint16) for index in range(SCENES)]
    images = [*forward, *forward[-2:0:-1]]
    size = (SIDE, SIDE)
    return Recording(lambda at: images[at % len(images)], range(10**6), taken.calibration, size, "uint16", "movie")


def _run(source: Source, out: Path) -> tuple[Engine, dict[int, float], dict[int, float], list[tuple[float, float]]]:
    """Run a live analysis with a page and return the engine, latencies (s) of rows and page, and memory over time."""
    from micrograph.infer import load_predictor
    from micrograph.recipes import find_recipe

    received: dict[int, float] = {}
    rows: dict[int, float] = {}

    def watch(row: Row) -> None:
        """Note when a frame had come and how late its rows are."""
        received[row.index], rows[row.index] = row.received_s, time.monotonic() - row.received_s

    engine = Engine(find_recipe("liquid-cell"), source, load_predictor("liquid-cell-1"), out, watchers=(watch,))
    used: list[tuple[float, float]] = []
    process = psutil.Process()
    with serving(engine.board) as address:
        page = _Page(address)
        work = threading.Thread(target=engine.run)
        work.start()
        while work.is_alive():
            work.join(1.0)
            used.append((time.monotonic(), sum(map(_held, [process, *process.children(recursive=True)])) / 2**20))
            if not engine.board.state.running:
                break
        work.join()
        time.sleep(0.5)
    engine.close()
    page_late = {frame: page.told[frame] - received[frame] for frame in received if frame in page.told}
    return engine, rows, page_late, used


def _held(process: psutil.Process) -> int:
    """Return the memory (bytes) of a process, 0 for one that has just ended."""
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _paced(movie: Recording, out: Path, minutes: float) -> list[Measured]:
    frames = int(60 * minutes * RATE)
    engine, rows, page, used = _run(ReplaySource(movie[:frames], "own"), out)
    counts = engine.board.counters.record()
    settled = [mb for at, mb in used if at >= used[0][0] + min(60.0, 20 * minutes)]
    tail = settled[: max(1, len(settled) - 3)]
    growth = max(tail[-max(1, len(tail) // 5) :]) - max(tail[: max(1, len(tail) // 5)])
    late = 1e3 * np.percentile(list(rows.values()), [50, 95])
    seen = 1e3 * np.percentile(list(page.values()), [50, 95])
    about = f"{frames} frames of {SIDE} x {SIDE} at {RATE:g} frames/s, page open; median {late[0]:.0f} ms"
    return [
        Measured("live_row", float(late[1]), "ms", 150, detail=f"95th percentile, {about}"),
        Measured(
            "live_page",
            float(seen[1]),
            "ms",
            500,
            detail=f"95th percentile, told to the browser; median {seen[0]:.0f} ms",
        ),
        Measured("live_dropped", float(frames - counts["done"]), "frames", 0, detail=f"{counts['done']:.0f} done"),
        Measured("live_memory_growth", growth, "MB", 50, detail=f"peak {max(tail):.0f} MB; from the second minute on"),
    ]


def _overload(movie: Recording, out: Path, seconds: float) -> list[Measured]:
    """Bring frames four times as fast as they were done; all must be accounted for, and the page must stay alive."""
    probe, _, _, _ = _run(ReplaySource(movie[:100], "fastest"), out / "probe")
    done = probe.board.counters.shown()["frames_per_s"]
    rate = 4 * done
    frames = int(rate * seconds)
    engine, rows, page, _ = _run(Camera(movie, rate, frames), out / "camera")
    counts = engine.board.counters.record()
    missing = abs(frames - counts["done"] - counts["dropped"])
    late, seen = (1e3 * np.percentile(list(taken.values()), 95) for taken in (rows, page))
    detail = (
        f"{rate:.0f} frames/s: {counts['done']:.0f} done, {counts['dropped']:.0f} dropped, oldest first; "
        f"row after {late:.0f} ms, page after {seen:.0f} ms (95 %)"
    )
    return [
        Measured("live_rate", done, "1/s", RATE, at_least=True, detail="as fast as frames are done, page open"),
        Measured("live_overload_unaccounted", float(missing), "frames", 0, detail=detail),
    ]
