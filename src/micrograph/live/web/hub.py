"""News for browsers: one thread looks where things stand, every browser gets the newest when it is ready for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from micrograph.live.shown import State
from micrograph.live.web.pages import View, plain

#: Seconds between two looks.
PERIOD_S = 0.1
#: So many rows of triggers that fired and notes are sent, the newest.
MOST_FIRED, MOST_NOTES = 200, 50


def news(state: State, tables: tuple[str, ...]) -> str:
    """Return where things stand as JSON text."""
    said: dict[str, Any] = asdict(state) | {"tables": tables}
    said["fired"], said["notes"] = state.fired[-MOST_FIRED:], state.notes[-MOST_NOTES:]
    said["fired_in_all"] = len(state.fired)
    return json.dumps(plain(said), allow_nan=False)


class Hub:
    """Tells every listener the newest state of one analysis; what a slow listener missed is left out.

    Each listener has room for one message. The analysis is only looked at, from a thread of the server's own, as long
    as somebody listens.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._slots: set[asyncio.Queue[str]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """How many browsers listen."""
        return len(self._slots)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[str]]:
        """Give a queue of length one that always holds the newest message that was not taken."""
        slot: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        _put(slot, await asyncio.to_thread(self._look))
        self._slots.add(slot)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield slot
        finally:
            self._slots.discard(slot)
            if not self._slots and self._task is not None:
                self._task.cancel()
                self._task = None

    def _look(self) -> str:
        return news(self._view.shown.state, self._view.shown.tables)

    async def _watch(self) -> None:
        last = ""
        while True:
            newest = await asyncio.to_thread(self._look)
            if newest != last:
                last = newest
                for slot in self._slots:
                    _put(slot, newest)
            await asyncio.sleep(PERIOD_S)


def _put(slot: asyncio.Queue[str], message: str) -> None:
    """Put a message in place of the one that waits."""
    with contextlib.suppress(asyncio.QueueEmpty):
        slot.get_nowait()
    slot.put_nowait(message)
