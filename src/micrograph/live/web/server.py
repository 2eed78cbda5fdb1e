"""The page's server: what a browser asks for, answered from a `Shown` in threads of the server's own."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from micrograph.core import BadInput
from micrograph.live.shown import Shown
from micrograph.live.web import lab_routes, routes
from micrograph.live.web.lab import Lab
from micrograph.live.web.security import MOST_BODY, Guard, Lock, names_for
from micrograph.live.web.views import Views

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
MEDIA = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
#: Largest file that may be dropped on the page (bytes).
MOST_UPLOAD = 4 * 2**30
#: Largest message that a browser may send through the WebSocket (bytes).
MOST_MESSAGE = 1024


def build_app(
    shown: Shown | None, *, lock: Lock | None = None, lab: Lab | None = None, most_upload: int = MOST_UPLOAD
) -> Guard:
    """Return the guarded ASGI application: for `shown`, for files that are dropped where there is a `lab`, or both."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.state.views = Views(shown)
    _add_page(app, {"main": shown is not None, "lab": lab is not None})
    routes.add(app)
    if lab is not None:
        lab_routes.add(app, lab, most_upload)
    _add_errors(app)

    def most_body(path: str) -> int:
        return most_upload if path == lab_routes.UPLOAD else MOST_BODY

    return Guard(app, lock or Lock(), most_body)


def serve(
    shown: Shown | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    lab: Lab | None = None,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve the page until Ctrl-C; `ready` is called with the address to open, token included, once it answers.

    host: an address of this machine; other machines reach the page only if it is not that of the loopback. port: 0
    for any free one. token: a secret of one's own (16 letters at least), else a random one. Raises `BadInput` where the
    port is taken.
    """
    server, bound, url = _server(shown, host, port, token, lab)
    if ready is not None:
        server.when_ready = lambda: ready(url)
    with bound, contextlib.suppress(KeyboardInterrupt):
        server.run([bound])


@contextlib.contextmanager
def serving(
    shown: Shown | None, *, host: str = "127.0.0.1", port: int = 0, token: str | None = None, lab: Lab | None = None
) -> Iterator[str]:
    """Serve the page from a thread while the block runs, which is given the address; see `serve`."""
    server, bound, url = _server(shown, host, port, token, lab)
    started = threading.Event()
    server.when_ready = started.set
    thread = threading.Thread(target=server.run, args=([bound],), name="page", daemon=True)
    thread.start()
    try:
        while not started.wait(0.1):
            if not thread.is_alive():
                raise BadInput(f"The page cannot be served at {host}: see the messages above.")
        yield url
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        bound.close()


class _Server(uvicorn.Server):
    """Uvicorn that says when it answers."""

    when_ready: Callable[[], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.when_ready is not None:
            self.when_ready()


def _server(
    shown: Shown | None, host: str, port: int, token: str | None, lab: Lab | None
) -> tuple[_Server, socket.socket, str]:
    """Return a server that is not running yet, its listening socket and the address to open."""
    if token is not None and len(token) < 16:
        raise BadInput(f"The token has {len(token)} letters, which can be guessed: give 16 at least, or none.")
    names = names_for(host, (socket.gethostname(), socket.getfqdn()))
    lock = Lock(names=names) if token is None else Lock(token=token, names=names)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise BadInput(f"The page cannot listen at {host}:{port} ({error.strerror}): choose another --port.") from error
    config = uvicorn.Config(
        build_app(shown, lock=lock, lab=lab), log_level="warning", access_log=False, server_header=False,
        ws_max_size=MOST_MESSAGE, ws="websockets-sansio", timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16384, limit_concurrency=128,
    )  # fmt: skip
    called = f"[{host}]" if family == socket.AF_INET6 else host
    called = socket.gethostname() if host in ("0.0.0.0", "::") else called
    return _Server(config), bound, f"http://{called}:{bound.getsockname()[1]}/?token={lock.token}"


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> Any:
    yield
    desk = getattr(app.state, "desk", None)
    if desk is not None:
        desk.close()


def _add_page(app: FastAPI, about: dict[str, bool]) -> None:
    """Serve the files of the page, which are read once: no other file can be named; and what the server offers."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in MEDIA}

    @app.get("/")
    def index() -> Response:
        return Response(files["index.html"], media_type="text/html")

    @app.get("/api/about")
    def offered() -> Response:
        return JSONResponse(about)

    @app.get("/page/{name}")
    def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "There is no such file.")
        return Response(files[name], media_type=MEDIA[Path(name).suffix])


def _add_errors(app: FastAPI) -> None:
    """Answer what goes wrong with one sentence, and what nobody foresaw with no more than that."""

    def said(status: int, sentence: str) -> JSONResponse:
        return JSONResponse({"error": sentence}, status)

    @app.exception_handler(BadInput)
    def bad_input(request: Request, error: Exception) -> JSONResponse:
        return said(400, str(error))

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: Exception) -> JSONResponse:
        return said(422, "The request is malformed.")

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return said(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("The page asked for %s, which failed.", request.url.path, exc_info=error)
        return said(500, "Something went wrong in micrograph: its log says what.")
