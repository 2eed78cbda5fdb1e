"""A job beside the viewer: buttons to begin and to stop it, a bar of its progress, and a line for what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from magicgui.widgets import Container, Label, ProgressBar, PushButton, Widget

from micrograph.apps.jobs import Advance
from micrograph.apps.scales import in_words
from micrograph.core import MicrographError

Found = TypeVar("Found")
#: How often the bar is brought up to date.
_EVERY_MS = 100
#: Room for the message: three lines.
_LINES_PX = 54
STOPPED = "Stopped."


class Stopped(Exception):
    """The user has stopped the job."""


@dataclass(frozen=True)
class Refused:
    """A job came to nothing: `sentence` says why."""

    sentence: str


class Running(Container[Widget]):
    """Buttons, bar and message of a job that runs in a thread; the job is stopped when it next tells its progress."""

    def __init__(self, verb: str) -> None:
        from qtpy.QtCore import Qt, QTimer
        from qtpy.QtWidgets import QSizePolicy

        self.begin = PushButton(text=verb)
        self.stop = PushButton(text="Stop", enabled=False)
        self.bar = ProgressBar(visible=False, min=0, max=0, value=0)
        self.message = Label(value="")
        buttons = Container(widgets=[self.begin, self.stop], layout="horizontal", labels=False)
        buttons.margins = (0, 0, 0, 0)
        super().__init__(widgets=[buttons, self.bar, self.message], labels=False)
        self.margins = (0, 0, 0, 0)
        self.message.native.setWordWrap(True)
        self.message.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        self.message.native.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.message.native.setMinimumHeight(_LINES_PX)
        self.stop.changed.connect(self.halt)
        self._halted = threading.Event()
        self._stand = (0, 0, "")
        self._clock = QTimer(self.native)
        self._clock.timeout.connect(self._show)
        self._gone = threading.Event()
        self.native.destroyed.connect(self._leave)
        self.worker: Any = None

    def halt(self) -> None:
        """Stop the job when it next tells how far it is."""
        self._halted.set()
        self.say("Stopping ...")

    def say(self, sentence: str) -> None:
        """Show a sentence below the bar."""
        self.message.value = sentence

    def refuse(self, sentence: str) -> None:
        """Show a sentence below the bar, and as a notification."""
        from napari.utils.notifications import show_error

        self.say(in_words(sentence))
        show_error(in_words(sentence))

    def start(self, job: Callable[[Advance], Found], then: Callable[[Found], object]) -> None:
        """Run `job` in a thread and give what it returns to `then` in the viewer's own; a refusal is shown."""
        from napari.qt.threading import create_worker

        self._halted.clear()
        self._stand = (0, 0, "beginning")
        self.begin.enabled, self.stop.enabled, self.bar.visible = False, True, True
        self._show()
        self._clock.start(_EVERY_MS)
        self.worker = create_worker(
            self._outcome, job, _connect={"returned": lambda found: self._end(found, then), "finished": self._rest}
        )

    def _outcome(self, job: Callable[[Advance], Found]) -> Found | Refused:
        try:
            return job(self._advance)
        except Stopped:
            return Refused(STOPPED)
        except MicrographError as error:
            return Refused(str(error))

    def _advance(self, done: int, total: int, note: str = "") -> None:
        """Take down how far the job is; called from its thread."""
        if self._halted.is_set():
            raise Stopped
        self._stand = (done, total, note)

    def _show(self) -> None:
        done, total, note = self._stand
        self.bar.max, self.bar.value = total, min(done, total)
        if not self._halted.is_set():
            self.say(f"{done} of {total}: {note}" if total else f"{note} ...")

    def _leave(self, _: object = None) -> None:
        """Let go of a window that was closed: its job stops, and nothing more is shown."""
        self._halted.set()
        self._gone.set()

    def _end(self, found: Any, then: Callable[[Any], object]) -> None:
        self._rest()
        if self._gone.is_set():
            return
        if not isinstance(found, Refused):
            then(found)
        elif found.sentence == STOPPED:
            self.say(STOPPED)
        else:
            self.refuse(found.sentence)

    def _rest(self) -> None:
        if self._gone.is_set():
            return
        self._clock.stop()
        self.begin.enabled, self.stop.enabled, self.bar.visible = True, False, False
