"""Drop a file, get an answer: the routes by which the page lists, uploads and opens files and runs recipes on them."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from micrograph.core.calibration import UNITS
from micrograph.live.web.lab import Given, Job, Lab, Proposals
from micrograph.live.web.pages import plain
from micrograph.live.web.security import REPORT_POLICY, TooLarge
from micrograph.live.web.views import Views

log = logging.getLogger(__name__)
UPLOAD = "/api/lab/upload"
#: At most so many entries of a folder are listed, so many jobs run at once, and so many files are looked at.
MOST_ENTRIES, MOST_JOBS, MOST_LOOKS = 2000, 2, 2
_UNSAFE = re.compile(r"[^\w.() +=,-]")


def _known(name: str) -> str:
    if name not in UNITS:
        raise ValueError
    return name


class Where(BaseModel):
    """A file: below the lab's folder, or one that was uploaded."""

    model_config = ConfigDict(extra="forbid")
    place: Literal["folder", "upload"]
    path: str = Field(max_length=4096)


class Look(Where):
    """A file, and what the user says of it (see `Given`)."""

    calibration: dict[Annotated[str, AfterValidator(_known)], Annotated[str, Field(max_length=100)]] = {}

    @property
    def given(self) -> Given:
        """What the user says."""
        return Given(dict(self.calibration))


class Order(Look):
    """What is to be run on a file."""

    recipe: str = Field(min_length=1, max_length=100)


class Looking:
    """A file that is being looked at: the newest of what a lab yields, taken from it by a thread of its own."""

    def __init__(self, yielded: Iterator[Proposals]) -> None:
        self.newest = next(yielded)
        self._yielded, self._stop = yielded, threading.Event()
        threading.Thread(target=self._follow, name="looking", daemon=True).start()

    def stop(self) -> None:
        """Try no more recipes."""
        self._stop.set()

    def _follow(self) -> None:
        try:
            for newest in self._yielded:
                self.newest = newest
                if self._stop.is_set():
                    break
            ended, note = ("stopped" if self._stop.is_set() else "done"), ""
        except Exception as error:  # the page shows it: nothing of one file may stop the server
            log.exception("Looking at a file failed.")
            ended, note = "failed", str(error)
        self.newest = replace(self.newest, progress=replace(self.newest.progress, ended=ended, note=note))


class Desk:
    """Files that were uploaded and jobs that run, for one server. Uploads together have at most `most_bytes`."""

    def __init__(self, lab: Lab, most_bytes: int) -> None:
        self.lab = lab
        self.most_bytes = most_bytes
        self.jobs: dict[str, Job] = {}
        self.looks: dict[str, Looking] = {}
        self._lock = threading.Lock()
        self._uploads = Path(tempfile.mkdtemp(prefix="micrograph-"))

    def close(self) -> None:
        """Stop all jobs and remove what was uploaded."""
        for job in self.jobs.values():
            job.stop()
        for looking in self.looks.values():
            looking.stop()
        shutil.rmtree(self._uploads, ignore_errors=True)

    def below(self, where: Where) -> Path:
        """Return the path of an existing file or folder; raises 404 for anything outside, links resolved."""
        root = (self.lab.root if where.place == "folder" else self._uploads).resolve()
        try:
            path = (root / where.path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise HTTPException(404, "There is no such file.") from error
        hidden = any(part.startswith(".") for part in Path(where.path).parts)
        if not path.is_relative_to(root) or hidden:
            raise HTTPException(404, "There is no such file.")
        return path

    def entries(self, folder: Path) -> list[dict[str, Any]]:
        """Return the files and folders in a folder, hidden ones and those that lead outside left out."""
        root, found = self.lab.root.resolve(), []
        for path in sorted(folder.iterdir(), key=lambda path: (not path.is_dir(), path.name.lower())):
            if path.name.startswith(".") or not path.resolve().is_relative_to(root) or not path.exists():
                continue
            kind = path.is_dir()
            found.append({"name": path.name, "folder": kind, "bytes": None if kind else path.stat().st_size})
        return found[:MOST_ENTRIES]

    def room_for(self, name: str) -> Path:
        """Return where a file of that name is put, in a folder of its own."""
        safe = _UNSAFE.sub("_", Path(name.replace("\\", "/")).name).lstrip(".")[-120:]
        if not safe:
            raise HTTPException(422, "The file has no name.")
        folder = self._uploads / secrets.token_hex(8)
        folder.mkdir()
        return folder / safe

    def left_bytes(self) -> int:
        """Return how many bytes may still be uploaded."""
        used = sum(path.stat().st_size for path in self._uploads.rglob("*") if path.is_file())
        return min(self.most_bytes - used, shutil.disk_usage(self._uploads).free - 2**28)

    def relative(self, path: Path) -> str:
        """Return the name by which an uploaded file is asked for."""
        return path.relative_to(self._uploads).as_posix()

    def look(self, path: Path, given: Given) -> str:
        """Begin to look at a file and return the name of that; of the files before it only some are kept."""
        looking, name = Looking(self.lab.open(path, given)), secrets.token_hex(8)
        with self._lock:
            self.looks[name] = looking
            while len(self.looks) > MOST_LOOKS:
                self.looks.pop(next(iter(self.looks))).stop()
        return name

    def seen(self, name: str) -> dict[str, Any]:
        """Return what is known of a file so far; raises 404 where it is not looked at."""
        if name not in self.looks:
            raise HTTPException(404, "That file is not looked at any more: open it again.")
        return {"look": name, **plain(asdict(self.looks[name].newest))}

    def start(self, begin: Callable[[str, Path, Given], Job], recipe: str, path: Path, given: Given) -> str:
        """Let the lab begin a job and return its name; raises 429 where too many run."""
        with self._lock:
            if sum(not job.progress.ended for job in self.jobs.values()) >= MOST_JOBS:
                raise HTTPException(429, "Two analyses are running already: wait for one or stop it.")
            name = secrets.token_hex(8)
            self.jobs[name] = begin(recipe, path, given)
        return name

    def job(self, name: str) -> Job:
        """Return a job; raises 404 where there is none of that name."""
        if name not in self.jobs:
            raise HTTPException(404, "There is no such job.")
        return self.jobs[name]


def add(app: FastAPI, lab: Lab, most_upload: int) -> None:
    """Add the routes of a lab."""
    desk = app.state.desk = Desk(lab, most_upload)
    views: Views = app.state.views
    _add_files(app, desk)
    _add_jobs(app, desk, views)


def _add_files(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/lab/files")
    def files(folder: str = "") -> Response:
        path = desk.below(Where(place="folder", path=folder[:4096]))
        if not path.is_dir():
            raise HTTPException(404, "There is no such folder.")
        root = desk.lab.root.resolve()
        here = path.relative_to(root).as_posix()
        parent = None if path == root else path.parent.relative_to(root).as_posix()
        said = {"root": root.name, "folder": here, "parent": parent, "entries": desk.entries(path)}
        return JSONResponse(said | {"most_bytes": desk.most_bytes})

    @app.put(UPLOAD)
    async def upload(request: Request, name: str) -> Response:
        target, left = desk.room_for(name), desk.left_bytes()
        try:
            with target.open("xb") as file:
                async for piece in request.stream():
                    left -= len(piece)
                    if left < 0:
                        raise TooLarge
                    file.write(piece)
        except BaseException:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
        return JSONResponse({"place": "upload", "path": desk.relative(target)})

    @app.post("/api/lab/open")
    def opened(look: Look) -> Response:
        return JSONResponse(desk.seen(desk.look(desk.below(look), look.given)))

    @app.get("/api/lab/looks/{name}")
    def looks(name: str) -> Response:
        return JSONResponse(desk.seen(name))

    @app.post("/api/lab/looks/{name}/stop")
    def left(name: str) -> Response:
        if name in desk.looks:
            desk.looks[name].stop()
        return JSONResponse({})


def _add_jobs(app: FastAPI, desk: Desk, views: Views) -> None:
    @app.post("/api/lab/run")
    def run(order: Order) -> Response:
        return JSONResponse({"job": desk.start(desk.lab.run, order.recipe, desk.below(order), order.given)})

    @app.post("/api/lab/suggest")
    def suggest(order: Order) -> Response:
        return JSONResponse({"job": desk.start(desk.lab.suggest, order.recipe, desk.below(order), order.given)})

    @app.get("/api/lab/jobs/{name}")
    def job(name: str) -> Response:
        found = desk.job(name)
        said = asdict(found.progress)  # first, so that a job that has ended has its results
        if (shown := found.shown) is not None:
            views.add(name, shown)
        said |= {"view": name if shown is not None else None, "report": found.report is not None}
        told = found.suggestions
        said |= {"takes_labels": found.takes_labels, "suggestions": None if told is None else asdict(told)}
        return JSONResponse(plain(said))

    @app.get("/api/lab/jobs/{name}/suggestions/{rank}")
    def thumbnail(name: str, rank: int) -> Response:
        picture = desk.job(name).thumbnail(rank)
        if picture is None:
            raise HTTPException(404, "There is no such suggestion.")
        return Response(picture, media_type="image/png")

    @app.post("/api/lab/jobs/{name}/stop")
    def stop(name: str) -> Response:
        desk.job(name).stop()
        return JSONResponse({})

    @app.get("/api/lab/jobs/{name}/report")
    def report(name: str) -> Response:
        path = desk.job(name).report
        if path is None or not path.is_file():
            raise HTTPException(404, "There is no report.")
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})
