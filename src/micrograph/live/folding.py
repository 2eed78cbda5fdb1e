"""What all frames say together, folded beside the rows: in the engine's process, and in one of its own once it costs.

Python runs one thread at a time, so a summary of a long recording (seconds of work) would make the rows late that come
meanwhile. The other process gets the summary and its state by a pipe that no one else can open.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, BinaryIO

from micrograph.run.parts import fold_part

if TYPE_CHECKING:
    from micrograph.run.recipe import Fold, Tables

#: A summary that is asked for anew takes about this share of the time of one core, but is not older than so many
#: seconds, or than so many times what it costs.
_SHARE, _OLDEST_S, _OLDEST_COSTS = 0.04, 5.0, 4.0
#: Seconds of work after which the fold moves to a process of its own.
_LONG_S = 2.0


class Folding:
    """A running fold. `show` is called with the tables over time as often as their cost allows.

    read: yields the tables of all that is on disk, to begin anew should the other process be lost; long_s: seconds of
    work after which there is another process. One thread calls.
    """

    def __init__(
        self,
        summary: Fold[Any],
        show: Callable[[Tables], None],
        read: Callable[[], Iterable[Tables]],
        long_s: float = _LONG_S,
    ) -> None:
        self._summary, self._show, self._read = summary, show, read
        self._state = summary.start()
        self._spent, self._long_s = 0.0, long_s
        self._due = 0.0
        self._whole = True
        self._beside: _Beside | None = None

    def earlier(self) -> None:
        """Begin with all that is on disk."""
        self._state = self._summary.start()
        for tables in self._read():
            self._state = fold_part(self._summary, self._state, tables)

    def step(self, tables: Tables) -> None:
        """Take one more usable frame."""
        if self._beside is None and self._spent > self._long_s:
            self._move()
        if self._beside is not None:
            self._beside.send(tables)
            return
        began = time.perf_counter()
        self._state = self._summary.step(self._state, tables)
        self._spent += time.perf_counter() - began

    def miss(self) -> None:
        """Do without a frame for now: the final result is then folded anew from the disk."""
        self._whole = False

    def refresh(self) -> None:
        """Show the tables over time, if those that are shown are old enough for what they cost."""
        if time.monotonic() < self._due:
            return
        self._due = float("inf")
        if self._beside is not None:
            self._beside.ask(self._answered)
        else:
            began = time.perf_counter()
            found = self._summary.result(self._state)
            self._answered(found, time.perf_counter() - began)

    def result(self) -> Tables:
        """Return the tables over time of all frames."""
        if self._beside is not None:
            found = self._beside.last()
            self._beside = None
            if found is not None and self._whole:
                return found
            self._whole = False
        if not self._whole:
            self.earlier()
        return self._summary.result(self._state)

    def close(self) -> None:
        """End the other process, if there is one."""
        if self._beside is not None:
            self._beside.close()

    def _answered(self, tables: Tables, seconds: float) -> None:
        self._show(tables)
        self._spent += seconds
        self._due = time.monotonic() + min(seconds / _SHARE, max(_OLDEST_S, _OLDEST_COSTS * seconds))

    def _move(self) -> None:
        """Go on in a process of its own; a summary that cannot be sent, or be read there, stays in this one."""
        self._beside = _Beside.begun(self._summary, self._state)
        if self._beside is None:
            self._long_s = float("inf")
        else:
            self._state = None


class _Beside:
    """The other process: frames go in, tables over time come out."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._waiting: Callable[[Tables, float], None] | None = None
        self._last: Tables | None = None
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @classmethod
    def begun(cls, summary: Fold[Any], state: Any) -> _Beside | None:
        """Return a process that has taken the summary and its state, or ``None`` where it could not."""
        try:
            sent = io.BytesIO()
            for one in (sys.path, (summary, state)):
                pickle.dump(one, sent, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
            return None
        process = subprocess.Popen(
            [sys.executable, "-m", "micrograph.live.folding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for this process, which then asks the other one to end
        )
        try:
            _inlet(process).write(sent.getvalue())
            _inlet(process).flush()
            taken = pickle.load(_outlet(process))
        except (OSError, EOFError):
            taken = False
        if not taken:
            _end(process)
            return None
        return cls(process)

    def send(self, message: Tables | None) -> None:
        """Send a frame's tables, or ``None`` for 'what do all say?'; one that is lost is noticed at the end."""
        with contextlib.suppress(OSError):
            pickle.dump(message, _inlet(self._process), pickle.HIGHEST_PROTOCOL)
            _inlet(self._process).flush()

    def ask(self, answer: Callable[[Tables, float], None]) -> None:
        """Ask for the tables over time; `answer` is called with them and with the seconds that they cost."""
        self._waiting = answer
        self.send(None)

    def last(self) -> Tables | None:
        """Return the tables over time of all frames and end the process; ``None`` where it was lost."""
        self._waiting = None
        self.send(None)
        with contextlib.suppress(OSError):
            _inlet(self._process).close()
        self._reader.join()
        whole = self._process.wait() == 0
        _end(self._process)
        return self._last if whole else None

    def close(self) -> None:
        """End the process."""
        _end(self._process)
        self._reader.join()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            while True:
                self._last, seconds = pickle.load(_outlet(self._process))
                if self._waiting is not None and self._last is not None:
                    self._waiting(self._last, seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that may have ended, and close the pipes to it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _inlet(process: subprocess.Popen[bytes]) -> BinaryIO:
    assert process.stdin is not None
    return process.stdin  # type: ignore[return-value]


def _outlet(process: subprocess.Popen[bytes]) -> BinaryIO:
    assert process.stdout is not None
    return process.stdout  # type: ignore[return-value]


def serve(frames: BinaryIO, answers: BinaryIO) -> None:
    """Take a summary and its state, then frames and questions, until there are no more."""

    def say(what: object) -> None:
        pickle.dump(what, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()

    sys.path[:] = pickle.load(frames)
    try:
        summary, state = pickle.load(frames)
    except (ImportError, AttributeError):  # written in a script or a notebook, which only its own process knows
        say(False)
        return
    say(True)
    with contextlib.suppress(EOFError):
        while True:
            tables = pickle.load(frames)
            if tables is not None:
                state = summary.step(state, tables)
                continue
            began = time.perf_counter()
            found = summary.result(state)
            say((found, time.perf_counter() - began))


def main() -> None:
    """Serve the process that began this one by its standard streams."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not go among the answers
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
