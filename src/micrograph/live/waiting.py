"""A bounded line of frames between two stages: what happens when they come faster than they can be served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
#: 'all': who brings a frame waits until there is room; 'newest': the oldest that waits is dropped for the new one.
Policy = Literal["all", "newest"]


class Waiting(Generic[Item]):
    """A line of at most `size` items from one stage to the next: one thread brings, another serves."""

    def __init__(self, size: int, policy: Policy = "all") -> None:
        self._items: deque[Item] = deque()
        self._size, self._policy = size, policy
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> list[Item]:
        """Add an item and return those that were dropped for it; with policy 'all', wait for room first.

        After `close` the item itself is what was dropped.
        """
        with self._changed:
            if self._policy == "all":
                self._changed.wait_for(lambda: len(self._items) < self._size or self._closed)
            if self._closed:
                return [item]
            dropped = []
            while len(self._items) >= self._size:
                dropped.append(self._items.popleft())
            self._items.append(item)
            self._changed.notify_all()
            return dropped

    def close(self) -> None:
        """Take no more; those that wait are still served."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in order, as they come, until the line is closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._closed)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def __len__(self) -> int:
        """Number of items that wait."""
        with self._changed:
            return len(self._items)
