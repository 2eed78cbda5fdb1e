"""The job `micrograph live`: a recipe over a source that is still being recorded, with page and triggers beside it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.apps import jobs, models, requests
from micrograph.apps.lived import Remembering, report_live
from micrograph.core import BadInput, Calibration, parse_positive

if TYPE_CHECKING:
    from micrograph.live.engine import Engine, LiveSettings
    from micrograph.live.shown import State
    from micrograph.live.source import Source

#: The user is told how things stand so often (s).
_TELL_S = 0.5


@dataclass(frozen=True)
class LiveRequest:
    """What a live analysis is asked to do beside what any analysis is (`request`).

    source: "folder:PATH", "zmq://HOST:PORT" or "replay:FILE", or a source that is made already; speed: of a replay,
    "own", "fastest" or a factor; until_idle: end when nothing came for so long ("30 s"); policy: 'all' or 'newest',
    None: as fits the source; triggers: a file of rules; dry_run: record what they would do, and do nothing.
    """

    request: requests.Request
    source: str | Source
    speed: str = "own"
    until_idle: str | None = None
    policy: str | None = None
    ring: int = 256
    triggers: Path | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class PageRequest:
    """Where the page is served: on loopback unless told otherwise; `token` is a random one where it is ``None``."""

    shown: bool = True
    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None


#: Called with how things stand, about twice a second.
Tell = Callable[["State"], object]


def live(
    asked: LiveRequest,
    out: Path,
    page: PageRequest,
    *,
    opened: Callable[[str], object] = lambda address: None,
    tell: Tell = lambda state: None,
) -> dict[str, Any] | None:
    """Analyse frames as they come, until the source ends or Ctrl-C; return the run record, ``None`` if none came.

    The report is written last, as by `analyze`. `opened` is told the address of the page, which stays until Ctrl-C
    after the source has ended.
    """
    engine, close = prepared(asked, out)
    seen = _remembered(engine)
    work = _Background(engine)
    with contextlib.ExitStack() as stack:
        stack.callback(close)
        if page.shown:
            from micrograph.live.web.server import serving

            opened(stack.enter_context(serving(engine.board, host=page.host, port=page.port, token=page.token)))
        work.start()
        try:
            while not work.wait(_TELL_S):
                tell(engine.board.state)
        except KeyboardInterrupt:
            engine.stop.set()
            work.wait(None)
        tell(engine.board.state)
        record = work.result()
        if record is not None:
            engine.board.report = report_live(engine, seen, record)
            tell(engine.board.state)
        if page.shown and not engine.stop.is_set():
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
    return record


def _remembered(engine: Engine) -> Remembering:
    """Let the engine's source be looked at for what the report will need."""
    seen = Remembering(engine.source, look_back=engine.board.image)
    engine.source = seen
    engine.watchers = (*engine.watchers, seen.watch)
    return seen


def view(
    folder: Path | None,
    files: Path,
    out: Path,
    page: PageRequest,
    *,
    opened: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve the results in `folder` until Ctrl-C, and let files below `files` be analysed into folders below `out`."""
    from micrograph.apps.desk import Desk, readied
    from micrograph.live.finished import Finished
    from micrograph.live.web.server import serving

    shown = None if folder is None else Finished(folder)
    if not files.is_dir():
        raise BadInput(f"{files} is no folder: give one whose files may be opened.")
    jobs.require_folder(out)
    lab = Desk(files.resolve(), out)
    readied()
    with serving(shown, host=page.host, port=page.port, token=page.token, lab=lab) as address:
        opened(address)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def prepared(asked: LiveRequest, out: Path) -> tuple[Engine, Callable[[], None]]:
    """Return the engine of a live analysis, ready to run, and what to call when all is done with it.

    Raises `BadInput` and its like for all that can be wrong before the first frame.
    """
    from micrograph.live.engine import Engine
    from micrograph.live.rules import read_rules
    from micrograph.live.sources.address import Reception, source_of
    from micrograph.live.triggers import Triggers, fired_before
    from micrograph.recipes import find_recipe

    request = asked.request
    recipe = models.with_own_classes(find_recipe(request.recipe), request.weights).with_settings(request.settings)
    idle = None if asked.until_idle is None else parse_positive(asked.until_idle, "s", name="--until-idle")
    given = Calibration().with_known(**requests.parse_calibration(request.calibration))
    reception = Reception(_speed(asked.speed), idle_s=idle, signal=request.signal)
    named = asked.source if not isinstance(asked.source, str) else source_of(asked.source, given, reception)
    source = _chosen(named, request)
    jobs.require_folder(out)
    columns = {name: tuple(column.name for column in promised) for name, promised in recipe.task.answers.items()}
    rules = () if asked.triggers is None else read_rules(asked.triggers, {"frames": (), **columns})
    if recipe.learner is not None and not request.weights:
        raise BadInput(
            f"Recipe '{recipe.name}' learns from a whole recording: analyse one first, and give the model that it "
            "leaves with --weights."
        )
    predict = models.predictor(recipe, request.weights, request.device)
    engine = Engine(recipe, source, predict, out, _settings(asked))
    if not rules:
        return engine, engine.close
    for what in fired_before(out) if request.resume else ():
        engine.board.fire(what)
    triggers = Triggers(rules, engine, dry_run=asked.dry_run, told=getattr(named, "told", None))
    engine.watchers = (triggers,)

    def close() -> None:
        """Wait for the actions that are due, then let go of the kept frames."""
        triggers.close()
        engine.close()

    return engine, close


def _chosen(source: Source, request: requests.Request) -> Source:
    """Return a source with the log that `request` names, and of a recording the frames that it asks for."""
    from micrograph.io import read_log
    from micrograph.live.sources.logged import LoggedSource
    from micrograph.live.sources.replay import ReplaySource

    if isinstance(source, ReplaySource):
        return replace(source, recording=requests.logged_frames(source.recording, request))
    for option, text in (("--frames", request.frames), ("--signal", request.signal)):
        if text is not None:
            raise BadInput(f"{option} is '{text}', but only a recording has it: leave it out, or give replay:FILE.")
    if request.log is None:
        return source
    read_log(request.log)  # what cannot be read is told before the first frame
    return LoggedSource(source, request.log, requests.log_begins_s(request))


def _speed(text: str) -> Any:
    """Return the speed of a replay: 'own', 'fastest', or a factor."""
    if text in ("own", "fastest"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise BadInput(f"--speed is '{text}': give own, fastest, or a factor such as 2.") from error


def _settings(asked: LiveRequest) -> LiveSettings:
    from micrograph.live.engine import LiveSettings

    if asked.policy not in (None, "all", "newest"):
        raise BadInput(f"--policy is '{asked.policy}': choose all (frames wait) or newest (the oldest are dropped).")
    return LiveSettings(
        policy=asked.policy,  # type: ignore[arg-type]
        ring=asked.ring,
        bin=asked.request.bin,
        resume=asked.request.resume,
    )


class _Background:
    """An engine at work in a thread of its own, so that Ctrl-C reaches the main one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._record: dict[str, Any] | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="engine")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float | None) -> bool:
        """Wait so long, or to the end; return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> dict[str, Any] | None:
        """Return the run record, or raise what broke the run."""
        if self._failure is not None:
            raise self._failure
        return self._record

    def _work(self) -> None:
        try:
            self._record = self._engine.run()
        except BaseException as error:
            self._failure = error
