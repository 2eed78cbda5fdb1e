"""Frames that another program sends over ZeroMQ: we listen (PULL), camera programs connect and push."""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from micrograph.core import BadInput, Calibration
from micrograph.live.source import Arrival, Complain, Opened
from micrograph.live.sources.complaints import Rationed
from micrograph.live.sources.files import merged, unlike
from micrograph.live.sources.message import LONGEST_HEADER, End, Sent, parsed

_POLL_MS = 50


@dataclass
class ZmqSource:
    """Frames that come as messages (see `micrograph.live.sources.message`) at tcp `host`:`port`.

    At most `waiting` frames are held; beyond that senders wait, or leave frames out, which is seen by their numbers.
    Parts larger than `largest_bytes` cut the connection. A sender that was lost comes back by itself; one that begins
    anew is numbered on. The source ends with the message that says so, or when nothing has come for `idle_s` after the
    first frame. `counts`: malformed, unlike (another size, type or scale), repeated, foreign (a second sender's) and
    lost frames.
    """

    host: str
    port: int
    given: Calibration = field(default_factory=Calibration)
    idle_s: float | None = None
    waiting: int = 8
    largest_bytes: int = 2**30
    counts: Counter[str] = field(default_factory=Counter)
    _wire: _Wire | None = None
    _first: tuple[int, Sent, float] | None = None
    _opened: Opened | None = None
    _numbers: _Numbers = field(default_factory=lambda: _Numbers())

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Listen, and wait for the first good frame; raises `BadInput` where the address cannot be had."""
        self._wire = _Wire(self)
        found = self._next(stop, Rationed(complain))
        if found is None:
            self._wire.close()
            return None
        self._first = found
        _, sent, _ = found
        shape = sent.data.shape[0], sent.data.shape[1]
        name, scale = f"zmq://{self.host}:{self.port}", merged(sent.calibration, self.given)
        self._opened = Opened(name, scale, shape, sent.data.dtype.name, {}, lossless=False)
        return self._opened

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield the frames as they come until the sender says that it is over, `idle_s` passes or `stop` is set."""
        say, found = Rationed(complain), self._first
        begins = None if found is None or found[1].time_s is None else found[1].time_s - self._offset_s(found[0])
        try:
            while found is not None:
                number, sent, received_s = found
                if done(number):
                    self.counts["repeated"] += 1
                    say("done", f"Frame {number} is in the results already: it is not analysed again.")
                else:
                    clock = {} if begins is None or sent.time_s is None else {"t_s": sent.time_s - begins}
                    yield Arrival(number, sent.data, received_s, clock | dict(sent.known))
                found = self._next(stop, say)
        finally:
            say.settle()
            if self._wire is not None:
                self._wire.close()

    def _offset_s(self, number: int) -> float:
        """Return when a frame was taken, from frame 0 on, as far as the frame time is known."""
        frame_time = None if self._opened is None else self._opened.calibration.frame_time_s
        return number * (frame_time or 0.0)

    def _next(self, stop: threading.Event, say: Rationed) -> tuple[int, Sent, float] | None:
        """Return the next good frame with its number; ``None`` at the end."""
        wire, since = self._wire, time.monotonic()
        while wire is not None and not stop.is_set():
            parts = wire.receive()
            if parts is None:
                if wire.has_lost_a_sender():
                    say("sender", "A sender was lost: waiting until it is back.")
                if self._opened is not None and self.idle_s is not None and time.monotonic() - since > self.idle_s:
                    return None
                continue
            received_s = since = time.monotonic()
            message = self._good(parts, say)
            if isinstance(message, End):
                if self._opened is not None:
                    return None
            elif message is not None:
                number = self._numbers.of(message, say, self.counts)
                if number is not None:
                    return number, message, received_s
        return None

    def _good(self, parts: list[Any], say: Rationed) -> Sent | End | None:
        """Return a message that is well formed and fits the first one; else tell and count."""
        try:
            message = parsed(parts)
        except BadInput as error:
            self.counts["malformed"] += 1
            say("malformed", f"{error} It is left out.")
            return None
        if isinstance(message, Sent) and self._opened is not None:
            name, pixel = f"Frame {message.frame}", merged(message.calibration, self.given).pixel_nm
            reason = unlike(name, message.data.shape, message.data.dtype.name, pixel, self._opened)
            if reason:
                self.counts["unlike"] += 1
                say("unlike", reason)
                return None
        return message


@dataclass
class _Numbers:
    """Which number a frame gets when its sender may be killed and begin anew."""

    run: str | None = None
    offset: int = 0
    last: int = -1
    earlier: set[str] = field(default_factory=set)

    def of(self, sent: Sent, say: Rationed, counts: Counter[str]) -> int | None:
        """Return the frame's number, ``None`` for one that is refused; a gap before it is told."""
        anew = sent.run != self.run or (sent.frame == 0 and self.last >= 0)
        if sent.run != self.run and sent.run in self.earlier:
            counts["foreign"] += 1
            say("foreign", "Two senders send at once: the frames of the one that began first are left out.")
            return None
        if self.run is not None and anew:
            self.offset = 0 if sent.frame > self.last else self.last + 1
            say("anew", f"The sender began anew: its frame {sent.frame} counts as {self.offset + sent.frame}.")
        if self.run is not None and sent.run != self.run:
            self.earlier.add(self.run)
        self.run = sent.run
        number = sent.frame + self.offset
        if number <= self.last:
            counts["repeated"] += 1
            say("repeated", f"Frame {sent.frame} came again or out of order: it is left out.")
            return None
        missing = number - self.last - 1
        if self.last >= 0 and missing:
            counts["lost"] += missing
            lost = f"Frame {self.last + 1} was" if missing == 1 else f"Frames {self.last + 1} to {number - 1} were"
            say("lost", f"{lost} lost before they came: the sender was faster than the line.")
        self.last = number
        return number


class _Wire:
    """The listening socket and what happens to its connections."""

    def __init__(self, source: ZmqSource) -> None:
        zmq = _imported()
        self._zmq = zmq
        self._context = zmq.Context()
        self._close = weakref.finalize(self, self._context.destroy, linger=0)
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, source.waiting)
        self._socket.setsockopt(zmq.MAXMSGSIZE, max(source.largest_bytes, LONGEST_HEADER))
        self._socket.setsockopt(zmq.IPV6, int(":" in source.host))
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        host = f"[{source.host}]" if ":" in source.host else source.host
        try:
            self._socket.bind(f"tcp://{'127.0.0.1' if host == 'localhost' else host}:{source.port}")
        except zmq.ZMQError as error:
            self.close()
            raise BadInput(
                f"No frames can be received at {source.host}:{source.port} ({error.strerror}): this computer listens "
                "and the camera's program connects, so give an own address, such as 127.0.0.1, and a free port."
            ) from error

    def receive(self) -> list[Any] | None:
        """Return the parts of the next message, ``None`` if there is none for a while."""
        if not self._socket.poll(_POLL_MS):
            return None
        return [frame.buffer for frame in self._socket.recv_multipart(copy=False)]

    def has_lost_a_sender(self) -> bool:
        """Tell whether a connection was closed since this was asked last."""
        from zmq.utils.monitor import recv_monitor_message

        lost = False
        while self._monitor.poll(0):
            lost |= recv_monitor_message(self._monitor)["event"] == self._zmq.EVENT_DISCONNECTED
        return lost

    def close(self) -> None:
        """Close the socket; frames that were not taken are lost."""
        self._close()


def _imported() -> Any:
    """Return pyzmq; raises `BadInput` where it is not installed."""
    try:
        import zmq
    except ImportError as error:
        raise BadInput("Receiving frames over ZeroMQ needs pyzmq: install it with  pip install pyzmq.") from error
    return zmq
