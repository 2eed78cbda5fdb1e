"""The analyses that one page shows: the one it was started for, 'main', and those of files that were dropped on it."""

from __future__ import annotations

import threading

from starlette.exceptions import HTTPException

from micrograph.live.shown import Shown
from micrograph.live.web.hub import Hub
from micrograph.live.web.pages import View

MAIN = "main"


class Views:
    """Views and their hubs by name."""

    def __init__(self, main: Shown | None) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[View, Hub]] = {}
        #: Pictures and movies are made one at a time.
        self.exporting = threading.Lock()
        if main is not None:
            self.add(MAIN, main)

    def add(self, name: str, shown: Shown) -> None:
        """Show one more analysis, unless it is shown already."""
        with self._lock:
            if name not in self._known:
                view = View(shown)
                self._known[name] = (view, Hub(view))

    def get(self, name: str) -> View:
        """Return a view; raises 404 where there is none of that name."""
        return self._of(name)[0]

    def hub(self, name: str) -> Hub | None:
        """Return the hub of a view, ``None`` where there is none of that name."""
        with self._lock:
            found = self._known.get(name)
        return found[1] if found else None

    def _of(self, name: str) -> tuple[View, Hub]:
        with self._lock:
            found = self._known.get(name)
        if found is None:
            raise HTTPException(404, "There is no such analysis.")
        return found
