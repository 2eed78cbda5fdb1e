"""What a browser may ask of one analysis: its state, frames, tables, curves, files to keep, and news by WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from micrograph.core import BadInput
from micrograph.live.web.curves import curves
from micrograph.live.web.exports import Layers, frame_png, movie_file, table_file
from micrograph.live.web.hub import Hub, news
from micrograph.live.web.pages import View
from micrograph.live.web.pictures import Levels, levels, tile
from micrograph.live.web.security import REPORT_POLICY
from micrograph.live.web.views import Views

#: A page has room for so many browsers at once.
MOST_LISTENERS = 16
_MOST_MESSAGE = 1024
Frame = Annotated[int, Query(ge=-(2**62), le=2**62)]
Tail = Annotated[int, Query(ge=0, le=1000)]
Pixel = Annotated[int, Query(ge=0, le=2**20)]
Level = Annotated[float | None, Query(allow_inf_nan=False)]


def add(app: FastAPI) -> None:
    """Add the routes of all views of `app`."""
    views: Views = app.state.views
    _add_reading(app, views)
    _add_image(app, views)
    _add_files(app, views)
    _add_news(app, views)
    _add_pause(app, views)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _add_reading(app: FastAPI, views: Views) -> None:
    @app.get("/api/{name}/state")
    def state(name: str) -> Response:
        shown = views.get(name).shown
        return _json(news(shown.state, shown.tables))

    @app.get("/api/{name}/curves")
    def all_curves(name: str) -> Response:
        return _json(json.dumps(curves(views.get(name)), allow_nan=False))

    @app.get("/api/{name}/frames/{frame}")
    def look(name: str, frame: int, tail: Tail = 0) -> Response:
        return _json(json.dumps(views.get(name).look(_within(frame), tail), allow_nan=False))

    @app.get("/api/{name}/frames/{frame}/outlines")
    def outlines(name: str, frame: int) -> Response:
        return Response(views.get(name).outlines(_within(frame)), media_type="application/octet-stream")

    @app.get("/api/{name}/tables/{table}")
    def table(name: str, table: str, frame: int | None = None) -> Response:
        view = views.get(name)
        _require_table(view, table)
        rows = view.table(table) if frame is None else view.shown.table(table, _within(frame))
        return _json(json.dumps(view.columns(table, rows), allow_nan=False))


def _within(frame: int) -> int:
    if not -(2**62) < frame < 2**62:
        raise HTTPException(404, "There is no such frame.")
    return frame


def _require_table(view: View, table: str) -> None:
    if table not in view.shown.tables:
        raise HTTPException(404, "There is no such table.")


def _add_image(app: FastAPI, views: Views) -> None:
    known: dict[int, tuple[Any, Levels]] = {}

    def levels_of(image: Any) -> Levels:
        """Return the levels of an image, of which the last few are kept with the image that they belong to."""
        kept = known.get(id(image))
        if kept is not None and kept[0] is image:
            return kept[1]
        found = levels(image)
        known[id(image)] = (image, found)
        for old in list(known)[:-6]:
            known.pop(old, None)
        return found

    @app.get("/api/{name}/frames/{frame}/image")
    def image(
        name: str, frame: int, box: str = "", most: Pixel = 1024, low: Level = None, high: Level = None
    ) -> Response:
        pixels = views.get(name).image(_within(frame))
        if pixels is None:
            raise HTTPException(404, "The image of this frame is not kept.")
        said = levels_of(pixels)
        limits = (said.low if low is None else low, said.high if high is None else high)
        part = tile(pixels, _box(box, pixels.shape), (most, most), limits)
        facts = asdict(said) | {
            "y": part.y, "x": part.x, "block": part.block, "shape": part.pixels.shape, "frame": pixels.shape,
            "limits": limits, "whole": bool(np.issubdtype(pixels.dtype, np.integer)),
        }  # fmt: skip
        headers = {"x-picture": json.dumps(facts)}
        return Response(part.pixels.tobytes(), media_type="application/octet-stream", headers=headers)


def _box(text: str, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return "top,left,bottom,right" as numbers; the whole image for ''."""
    if not text:
        return 0, 0, shape[0], shape[1]
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdigit() and len(part) < 10 for part in parts):
        raise HTTPException(422, "The request is malformed.")
    top, left, bottom, right = map(int, parts)
    return top, left, bottom, right


def _add_files(app: FastAPI, views: Views) -> None:
    @contextlib.contextmanager
    def one_at_a_time() -> Iterator[None]:
        if not views.exporting.acquire(blocking=False):
            raise HTTPException(429, "Another picture or movie is being made: try again when it is there.")
        try:
            yield
        finally:
            views.exporting.release()

    def layers(points: bool, outlines: bool, tail: int, low: float | None, high: float | None) -> Layers:
        return Layers(points, outlines, tail, None if low is None or high is None else (low, high))

    @app.get("/api/{name}/export/frame.png")
    def png(
        name: str, frame: Frame, points: bool = True, outlines: bool = True, tail: Tail = 0,
        low: Level = None, high: Level = None,
    ) -> Response:  # fmt: skip
        with one_at_a_time():
            data = frame_png(views.get(name), frame, layers(points, outlines, tail, low, high))
        return Response(data, media_type="image/png", headers=_attached(f"frame-{frame}.png"))

    @app.get("/api/{name}/export/movie.mp4")
    def movie(
        name: str, first: int | None = None, last: int | None = None, points: bool = True, outlines: bool = True,
        tail: Tail = 0,
    ) -> Response:  # fmt: skip
        with one_at_a_time(), _folder() as folder:
            return _file(movie_file(views.get(name), folder / "movie.mp4", Layers(points, outlines, tail), first, last))

    @app.get("/api/{name}/export/{table}.{suffix}")
    def export(name: str, table: str, suffix: str, frame: int | None = None) -> Response:
        view = views.get(name)
        if suffix not in ("csv", "parquet"):
            raise HTTPException(404, "There is no such file.")
        _require_table(view, table)
        with _folder() as folder:
            return _file(table_file(view, table, suffix, folder, frame))

    @app.get("/api/{name}/report")
    def report(name: str) -> Response:
        path = getattr(views.get(name).shown, "report", None)
        if not isinstance(path, Path) or not path.is_file():
            raise HTTPException(404, "There is no report.")
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a temporary folder that is kept for the answer unless something goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="micrograph-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _file(path: Path) -> Response:
    """Send a file and remove its folder."""
    clean = BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True)
    return FileResponse(path, filename=path.name, background=clean)


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


class Wish(BaseModel):
    """Whether to pause, or to go on."""

    model_config = {"extra": "forbid"}
    paused: bool


def _add_pause(app: FastAPI, views: Views) -> None:
    @app.post("/api/{name}/pause")
    def pause(name: str, wish: Wish) -> Response:
        pausing = getattr(views.get(name).shown, "pause", None)
        if pausing is None:
            raise HTTPException(409, "A finished analysis cannot be paused.")
        pausing(wish.paused)
        return _json("{}")


def _add_news(app: FastAPI, views: Views) -> None:
    @app.websocket("/api/{name}/news")
    async def told(socket: WebSocket, name: str) -> None:
        hub = views.hub(name)
        if hub is None or hub.listeners >= MOST_LISTENERS:
            await socket.close(1013 if hub else 1008, "There is no room." if hub else "There is no such analysis.")
            return
        await socket.accept()
        await _tell(socket, hub)


async def _tell(socket: WebSocket, hub: Hub) -> None:
    """Send the newest state whenever the browser says that it is ready for one, until one of the two has enough."""
    ready = asyncio.Event()
    async with hub.listening() as slot:
        both = [asyncio.create_task(_heard(socket, ready)), asyncio.create_task(_said(socket, ready, slot))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
    faults = [error for task in done if (error := task.exception()) is not None]
    if any(isinstance(error, BadInput) for error in faults):
        with contextlib.suppress(RuntimeError):
            await socket.close(1008, "The message is malformed.")
    elif any(not isinstance(error, WebSocketDisconnect) for error in faults):
        with contextlib.suppress(RuntimeError):
            await socket.close(1011)


async def _heard(socket: WebSocket, ready: asyncio.Event) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None or len(text) > _MOST_MESSAGE or not _is_ready(text):
            raise BadInput("The message is malformed.")
        ready.set()


def _is_ready(text: str) -> bool:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and list(said) == ["ready"] and said["ready"] is True


async def _said(socket: WebSocket, ready: asyncio.Event, slot: asyncio.Queue[str]) -> None:
    while True:
        await ready.wait()
        newest = await slot.get()
        ready.clear()
        await socket.send_text(newest)
