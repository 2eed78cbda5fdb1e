"""What the page's server refuses: strangers, foreign pages, foreign names, other paths, too much, and nonsense."""

import contextlib
import http.client
import json
import urllib.parse

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

import moving
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from micrograph.core import BadInput
from micrograph.live.web.security import Lock, names_for
from micrograph.live.web.server import MOST_MESSAGE, serve, serving

TOKEN = "a-token-for-tests-0123456789"


class Client:
    """Asks one server, with a cookie unless told otherwise."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.cookie = parts.hostname, parts.port, None
        answer, _ = self.ask(f"/?token={TOKEN}")
        self.given = answer.getheader("set-cookie")
        self.cookie = self.given.partition(";")[0]

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def ask(self, path, method="GET", body=None, **headers):
        said = {"Cookie": self.cookie} if self.cookie else {}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        said = {name: value for name, value in said.items() if value is not None}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, said)
            answer = connection.getresponse()
            return answer, answer.read()

    def status(self, path, method="GET", body=None, **headers):
        return self.ask(path, method, body, **headers)[0].status

    def json(self, path, method="GET", body=None):
        answer, data = self.ask(path, method, json.dumps(body) if body is not None else None,
                                **({"Content_Type": "application/json"} if body is not None else {}))  # fmt: skip
        assert answer.status == 200, data
        return json.loads(data)

    def news(self, **changed):
        headers = {"Cookie": self.cookie} | changed.get("headers", {})
        origin = changed.get("origin", f"http://{self.address}")
        name = changed.get("name", "main")
        return connect(
            f"ws://{self.address}/api/{name}/news", origin=origin, additional_headers=headers, open_timeout=120
        )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "outside.txt").write_text("secret")
    inside = folder / "recordings"
    (inside / "day").mkdir(parents=True)
    (inside / "particles.tif").write_bytes(b"pixels")
    (inside / ".hidden.tif").write_bytes(b"pixels")
    (inside / "link.txt").symlink_to(folder / "outside.txt")
    return inside


@pytest.fixture(scope="module")
def client(root):
    with serving(moving.Moving(8, 20, 64), token=TOKEN, lab=moving.FakeLab(root)) as url:
        yield Client(url)


PATHS = ("/", "/page/main.js", "/api/main/state", "/api/main/frames/0/image", "/api/main/export/frames.csv",
         "/api/lab/files", "/docs", "/openapi.json", "/nowhere")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_the_secret(client, path):
    answer, body = client.ask(path, Cookie=None)
    assert answer.status == 401
    assert b"token" in body and TOKEN.encode() not in body


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "x", f"{TOKEN}&token=x"])
def test_a_wrong_token_is_refused(client, given):
    assert client.status(f"/?token={given}", Cookie=None) == 401
    assert client.status("/api/main/state", Cookie=None, Authorization=f"Bearer {given}") == 401


def test_a_wrong_cookie_is_refused(client):
    name = client.cookie.partition("=")[0]
    assert client.status("/api/main/state", Cookie=f"{name}=wrong") == 401
    assert client.status("/api/main/state", Cookie=f"{name}={TOKEN}") == 401
    assert client.status("/api/main/state", Cookie="\x01;;=") == 401


def test_the_token_is_exchanged_for_a_cookie_that_scripts_cannot_read(client):
    assert "HttpOnly" in client.given and "SameSite=Strict" in client.given
    assert TOKEN not in client.given
    assert client.status("/api/main/state") == 200


def test_the_token_serves_as_a_header_for_programs(client):
    assert client.status("/api/main/state", Cookie=None, Authorization=f"Bearer {TOKEN}") == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://127.0.0.1:1"])
def test_pages_of_another_origin_are_refused(client, origin):
    assert client.status("/api/main/state", Origin=origin) == 403
    with pytest.raises(InvalidStatus):
        client.news(origin=origin)


def test_a_page_of_another_port_is_refused_without_an_origin_too(client):
    assert client.status("/api/main/state", Sec_Fetch_Site="same-site") == 403
    assert client.status("/api/main/state", Sec_Fetch_Site="cross-site") == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "a b", "localhost@x"]
)
def test_a_rebound_name_is_refused(client, host):
    assert client.status("/api/main/state", Host=host) == 421


def test_a_tunnel_to_another_port_of_this_machine_works(client):
    assert client.status("/api/main/state", Host="localhost:9000", Origin="http://localhost:9000") == 200


@pytest.mark.parametrize("path", [
    "/page/../server.py", "/page/..%2fserver.py", "/page/%2e%2e/server.py", "/page//etc/passwd", "/page/..%5cserver.py",
    "/api/main/export/..%2f..%2frun.csv", "/api/main/tables/..%2fframes", "/api/lab/files?folder=..",
    "/api/lab/files?folder=%2fetc", "/api/lab/files?folder=day%2f..%2f..", "/api/lab/files?folder=%00",
])  # fmt: skip
def test_no_path_leads_out(client, path):
    answer, body = client.ask(path)
    assert answer.status in (404, 422)
    assert b"import" not in body and b"root:" not in body


@pytest.mark.parametrize("path", ["../outside.txt", "link.txt", "/etc/passwd", ".hidden.tif", "day/../../link", "\0"])
def test_no_file_outside_the_folder_is_opened(client, path):
    body = json.dumps({"place": "folder", "path": path})
    assert client.status("/api/lab/open", "POST", body, Content_Type="application/json") == 404


def test_the_list_of_files_leaves_out_hidden_ones_and_links_that_lead_outside(client):
    names = [entry["name"] for entry in client.json("/api/lab/files")["entries"]]
    assert names == ["day", "particles.tif"]


@pytest.mark.parametrize("body", [
    "", "{", "[]", '{"place": "folder"}', '{"place": "disk", "path": "a"}', '{"place": "folder", "path": 5}',
    '{"place": "folder", "path": "a", "more": 1}', '{"place": "folder", "path": "' + "a" * 5000 + '"}', "[" * 3000,
    '{"place": "folder", "path": "particles.tif", "calibration": {"lens": "1 nm"}}',
    '{"place": "folder", "path": "particles.tif", "calibration": {"pixel_nm": "' + "9" * 200 + ' nm"}}',
])  # fmt: skip
def test_malformed_requests_are_refused(client, body):
    assert client.status("/api/lab/open", "POST", body, Content_Type="application/json") in (400, 422)
    assert client.status("/api/main/state") == 200


@pytest.mark.parametrize("path", [
    "/api/main/frames/x", "/api/main/frames/1?tail=-1", "/api/main/frames/1/image?box=1,2",
    "/api/main/frames/1/image?low=nan", "/api/main/frames/1/image?most=99999999", "/api/main/export/frame.png?frame=x",
])  # fmt: skip
def test_malformed_questions_are_refused(client, path):
    assert client.status(path) == 422


def test_a_number_of_a_frame_beyond_all_bounds_is_refused(client):
    assert client.status(f"/api/main/frames/{10**30}") == 404
    assert client.status(f"/api/main/frames/{10**30}/image") == 404


def test_too_large_requests_are_refused(client):
    large = json.dumps({"place": "folder", "path": "a" * 100_000})
    assert client.status("/api/lab/open", "POST", large, Content_Type="application/json") == 413
    pieces = (b"a" * 10_000 for _ in range(20))
    assert client.status("/api/lab/open", "POST", pieces, Content_Type="application/json") == 413


def test_scripts_of_others_cannot_run_and_no_other_page_may_read(client):
    answer, _ = client.ask("/")
    policy = answer.getheader("content-security-policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.getheader("access-control-allow-origin") is None
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert answer.getheader("server") is None


def test_the_page_has_no_inline_script_or_style(client):
    _, body = client.ask("/")
    assert b"<style" not in body and b" style=" not in body and b" onclick=" not in body
    assert body.count(b"<script") == body.count(b'<script type="module" src=')
    assert b"http://" not in body and b"https://" not in body


def test_news_need_the_secret(client):
    with pytest.raises(InvalidStatus):
        client.news(headers={"Cookie": ""})


@pytest.mark.parametrize("message", ["", "x", "{", "[]", '{"ready": 1}', b"\x00", "[" * 900, "é" * 100])
def test_a_malformed_message_ends_the_connection_and_nothing_else(client, message):
    with client.news() as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)
    assert socket.close_code == 1008
    assert client.status("/api/main/state") == 200


def test_a_message_that_is_too_large_ends_the_connection(client):
    with client.news() as socket:
        socket.send("a" * (MOST_MESSAGE + 1))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)
    assert socket.close_code == 1009


def test_names_of_the_machine_are_served_only_where_others_may_connect():
    assert names_for("127.0.0.1", ("lab.local",)) == {"localhost"}
    assert names_for("0.0.0.0", ("lab.local",)) == {"localhost", "lab.local"}
    assert Lock().knows("127.0.0.1:80") and Lock().knows("[::1]:80") and not Lock().knows("lab.local")


def test_secrets_differ_from_server_to_server():
    one, two = Lock(), Lock()
    assert one.token != two.token and one.cookie != two.cookie and one.session != one.token


def test_a_short_token_and_a_port_that_is_taken_are_told_in_a_sentence(client):
    with pytest.raises(BadInput, match="can be guessed"):
        serve(None, token="short")
    with pytest.raises(BadInput, match="cannot listen"):
        serve(None, port=client.port)
