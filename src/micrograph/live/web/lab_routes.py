"""Drop a file, get an answer: the routes by which the page lists, uploads and opens files and runs recipes on them."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from micrograph.core.calibration import UNITS
from micrograph.live.web.lab import Given, Job, Lab
from micrograph.live.web.pages import plain
from micrograph.live.web.security import REPORT_POLICY, TooLarge
from micrograph.live.web.views import Views

UPLOAD = "/api/lab/upload"
#: At most so many entries of a folder are listed, and so many jobs run at once.
MOST_ENTRIES, MOST_JOBS = 2000, 2
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


class Desk:
    """Files that were uploaded and jobs that run, for one server. Uploads together have at most `most_bytes`."""

    def __init__(self, lab: Lab, most_bytes: int) -> None:
        self.lab = lab
        self.most_bytes = most_bytes
        self.jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._uploads = Path(tempfile.mkdtemp(prefix="micrograph-"))

    def close(self) -> None:
        """Stop all jobs and remove what was uploaded."""
        for job in self.jobs.values():
            job.stop()
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

    def start(self, recipe: str, path: Path, given: Given) -> str:
        """Start a job and return its name; raises 429 where too many run."""
        with self._lock:
            if sum(not job.progress.ended for job in self.jobs.values()) >= MOST_JOBS:
                raise HTTPException(429, "Two analyses are running already: wait for one or stop it.")
            name = secrets.token_hex(8)
            self.jobs[name] = self.lab.run(recipe, path, given)
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
        return JSONResponse(plain(asdict(desk.lab.open(desk.below(look), look.given))))


def _add_jobs(app: FastAPI, desk: Desk, views: Views) -> None:
    @app.post("/api/lab/run")
    def run(order: Order) -> Response:
        return JSONResponse({"job": desk.start(order.recipe, desk.below(order), order.given)})

    @app.get("/api/lab/jobs/{name}")
    def job(name: str) -> Response:
        found = desk.job(name)
        said = asdict(found.progress)  # first, so that a job that has ended has its results
        if (shown := found.shown) is not None:
            views.add(name, shown)
        return JSONResponse(said | {"view": name if shown is not None else None, "report": found.report is not None})

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
