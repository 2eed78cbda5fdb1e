"""What the page's server answers: state, frames, tables, curves, files to keep, news, and dropped files."""

import io
import json
import struct
import time

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

import moving
import test_security as security
from PIL import Image

from micrograph.live.web.curves import band_of
from micrograph.live.web.pages import Palette, View, plain
from micrograph.live.web.pictures import levels, tile
from micrograph.live.web.server import serving


@pytest.fixture(scope="module")
def shown():
    return moving.Moving(36, 20, 96)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    (root / "particles.tif").write_bytes(b"pixels")
    return moving.FakeLab(root)


@pytest.fixture(scope="module")
def client(shown, lab):
    with serving(shown, token=security.TOKEN, lab=lab) as url:
        yield security.Client(url)


def test_the_state_is_told(client):
    state = client.json("/api/main/state")
    assert state["recipe"] == "particle-shapes" and state["pixel_nm"] == 0.25 and state["running"]
    assert state["counters"]["latency_ms"] == 84.3 and state["fired"][0]["rule"] == moving.NEW_PARTICLE


def test_a_picture_is_the_frame_between_its_percentiles(client, shown):
    answer, data = client.ask("/api/main/frames/3/image")
    facts = json.loads(answer.getheader("x-picture"))
    image = shown.image(3)
    assert facts["shape"] == [96, 96] and facts["block"] == 1
    assert facts["smallest"] == pytest.approx(image.min()) and facts["largest"] == pytest.approx(image.max())
    low, high = facts["limits"]
    expected = np.clip(np.rint((image - low) / (high - low) * 255), 0, 255)
    assert np.abs(np.frombuffer(data, np.uint8).reshape(96, 96) - expected).max() <= 1


def test_a_part_of_a_frame_is_sent_at_full_resolution(client):
    answer, data = client.ask("/api/main/frames/3/image?box=10,20,40,90&most=100&low=0&high=500")
    facts = json.loads(answer.getheader("x-picture"))
    assert (facts["y"], facts["x"], facts["shape"], facts["block"]) == (10, 20, [30, 70], 1)
    assert facts["limits"] == [0.0, 500.0] and len(data) == 2100


def test_a_large_image_is_averaged_over_blocks():
    image = np.arange(64.0, dtype=np.float32).reshape(8, 8)
    part = tile(image, (0, 0, 8, 8), (4, 4), (0.0, 63.0))
    assert part.block == 2
    assert part.pixels[0, 0] == round(255 * image[:2, :2].mean() / 63)


def test_levels_leave_out_what_is_not_finite():
    image = np.array([[1.0, np.nan], [np.inf, 5.0]], np.float32)
    said = levels(image)
    assert (said.smallest, said.largest) == (1.0, 5.0) and sum(said.histogram) == 2
    assert levels(np.full((3, 3), np.nan, np.float32)).largest == 1.0


def test_a_frame_comes_with_its_objects_and_doubts(client):
    look = client.json("/api/main/frames/31?tail=5")
    assert look["frame"] == 31 and look["before"] == 30 and look["after"] == 32
    assert look["flags"] == ["out_of_domain"] and look["known"]["temperature_C"] == 427.5
    assert len(look["points"]["y"]) == 20 == look["objects"]["rows"]
    assert sum(kind["count"] for kind in look["kinds"]) == 20
    assert all(len(track["y"]) == 5 for track in look["tracks"]) and len(look["tracks"]) == 20
    assert look["objects"]["units"]["area_sigma_nm2"] == "nm²"
    assert "edge" in look["objects"]["values"][look["objects"]["columns"].index("flags")]


def test_a_frame_that_was_never_analysed_is_the_nearest_one(client):
    assert client.json("/api/main/frames/1000")["frame"] == 35
    assert client.json("/api/main/frames/-7")["frame"] == 0


def test_an_image_that_is_not_kept_is_said_so(client):
    assert client.status("/api/main/frames/99/image") == 404


def test_outlines_come_as_numbers(client, shown):
    _, data = client.ask("/api/main/frames/2/outlines")
    (number,) = struct.unpack_from("<i", data)
    ids, lengths = np.frombuffer(data, "<i4", 2 * number, 4).reshape(2, -1)
    places = np.frombuffer(data, "<f4", offset=4 + 8 * number).reshape(-1, 2)
    table = shown.table("outlines", 2)
    assert number == 20 and set(lengths) == {48} and ids.tolist() == sorted(set(table["id"]))
    assert np.allclose(places, table[["y_nm", "x_nm"]].to_numpy(), atol=1e-4)


def test_curves_have_bands_units_and_times(client):
    said = client.json("/api/main/curves")
    curves = {(curve["table"], curve["column"]): curve for curve in said["curves"]}
    area = curves["summary", "mean_area_nm2"]
    assert said["axis"] == "s" and area["x"][:2] == [0.0, 0.5] and area["unit"] == "nm^2"
    assert area["high"][0] == pytest.approx(area["y"][0] * (1 + 1.96 * 0.03))
    share = curves["summary", "round_share"]
    assert share["low"][0] == pytest.approx(0.22) and share["high"][0] == pytest.approx(0.39)
    assert ("summary", "mean_area_sigma_nm2") not in curves and ("summary", "round_share_low") not in curves
    assert curves["frames", "bias_V"]["unit"] == "V" and curves["frames", "count"]["low"] is None
    assert said["flagged"] == [{"first": 30, "last": 33, "flags": "out_of_domain"}]
    assert said["fired"] == [{"rule": moving.NEW_PARTICLE, "frame": 12, "x": 6.0}]


def test_the_error_of_a_column_stands_before_its_unit():
    names = frozenset({"d_nm2_per_s", "d_sigma_nm2_per_s", "d_low_nm2_per_s", "p", "p_high"})
    assert band_of("d_nm2_per_s", names).sigma == "d_sigma_nm2_per_s"
    assert band_of("d_nm2_per_s", names).low == "d_low_nm2_per_s"
    assert band_of("p", names).high == "p_high" and band_of("p", names).sigma is None


def test_a_long_curve_keeps_its_peaks():
    long = moving.Moving(3, 5, 64)
    rows = 20_000
    peak = np.zeros(rows)
    peak[7123] = 9.0
    table = pd.DataFrame({"frame": np.arange(rows), "flags": 0, "count": peak})
    long.table = lambda name, frame=None: table if name == "frames" else pd.DataFrame()
    from micrograph.live.web.curves import curves

    (curve,) = curves(View(long))["curves"]
    assert max(curve["y"]) == 9.0 and len(curve["y"]) <= 1000 and curve["x"][-1] == rows - 1


def test_tables_are_files_to_keep(client, shown):
    _, text = client.ask("/api/main/export/frames.csv")
    assert len(pd.read_csv(io.BytesIO(text))) == 36
    _, data = client.ask("/api/main/export/objects.parquet?frame=4")
    found = pd.read_parquet(io.BytesIO(data))
    assert set(found["frame"]) == {4} and len(found) == 20
    assert client.status("/api/main/export/frames.exe") == 404 and client.status("/api/main/export/none.csv") == 404


@pytest.mark.parametrize("layers", ["", "&outlines=false", "&outlines=false&points=false&tail=6&low=100&high=400"])
def test_a_picture_to_keep_has_every_pixel(client, layers):
    answer, data = client.ask(f"/api/main/export/frame.png?frame=5{layers}")
    assert answer.status == 200, data
    assert Image.open(io.BytesIO(data)).width > 96


def test_a_movie_is_a_file_to_keep(client):
    pytest.importorskip("av")
    answer, data = client.ask("/api/main/export/movie.mp4?last=2&tail=2")
    assert answer.status == 200 and b"ftyp" in data[:12]


def test_news_tell_the_newest_state_and_nothing_that_was_missed():
    shown = moving.Moving(2, 5, 64)
    with serving(shown, token=security.TOKEN) as url:
        client = security.Client(url)
        with client.news() as socket:
            socket.send('{"ready":true}')
            assert json.loads(socket.recv(timeout=60))["frames"] == [0, 1]
            for _ in range(50):
                shown.advance()
                time.sleep(0.01)
            time.sleep(1.0)
            socket.send('{"ready":true}')
            assert json.loads(socket.recv(timeout=60))["frames"] == [0, 51]


def test_nothing_is_read_while_nobody_looks():
    shown = moving.Moving(2, 5, 64)
    with serving(shown, token=security.TOKEN):
        time.sleep(0.3)
        assert shown.reads == 0


def test_an_analysis_that_fails_is_told_and_the_server_goes_on(client, shown, monkeypatch):
    def broken(name, frame=None):
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(shown, "table", broken)
    answer, body = client.ask("/api/main/frames/3")
    assert answer.status == 500 and b"secret detail" not in body
    monkeypatch.undo()
    assert client.status("/api/main/frames/3") == 200


def test_a_dropped_file_is_opened_proposed_run_and_shown(client, lab):
    answer, data = client.ask("/api/lab/upload?name=..%2Fmine%20%231.tif", "PUT", b"p" * 1000)
    where = json.loads(data)
    assert answer.status == 200 and where["place"] == "upload" and ".." not in where["path"]
    said = client.json("/api/lab/open", "POST", where)
    assert lab.opened[-1].read_bytes() == b"p" * 1000
    assert [one["fits"] for one in said["proposals"]] == [True, False] and said["proposals"][0]["reason"]
    job = client.json("/api/lab/run", "POST", where | {"recipe": "particle-shapes"})["job"]
    for _ in range(10):
        progress = client.json(f"/api/lab/jobs/{job}")
        if progress["ended"]:
            break
    assert progress["ended"] == "done" and progress["view"] == job and progress["report"]
    assert client.json(f"/api/{job}/state")["frames"] == [0, 11]
    answer, report = client.ask(f"/api/lab/jobs/{job}/report")
    assert b"Report of particles" in report and "sandbox" in answer.getheader("content-security-policy")


def test_recipes_come_one_by_one_until_all_are_known(client, lab):
    _, data = client.ask("/api/lab/upload?name=mine.tif", "PUT", b"p" * 1000)
    said = client.json("/api/lab/open", "POST", json.loads(data))
    for _ in range(50):
        said = client.json(f"/api/lab/looks/{said['look']}")
        if said["progress"]["ended"]:
            break
    assert said["progress"]["ended"] == "done" and len(said["proposals"]) == 2
    assert client.status("/api/lab/looks/unknown") == 404
    others = [client.json("/api/lab/open", "POST", json.loads(data)) for _ in range(3)]
    assert client.status(f"/api/lab/looks/{said['look']}") == 404  # only the newest files are kept
    assert client.json(f"/api/lab/looks/{others[-1]['look']}/stop", "POST", {}) == {}


def test_frames_to_label_are_suggested_with_their_pictures_and_the_command(client):
    _, data = client.ask("/api/lab/upload?name=mine.tif", "PUT", b"p" * 1000)
    job = client.json("/api/lab/suggest", "POST", json.loads(data) | {"recipe": "particle-shapes"})["job"]
    told = client.json(f"/api/lab/jobs/{job}")["suggestions"]
    assert told["command"].startswith("micrograph train") and told["pieces"][0]["frame"] == 7
    answer, picture = client.ask(f"/api/lab/jobs/{job}/suggestions/1")
    assert answer.getheader("content-type") == "image/png" and picture.startswith(b"\x89PNG")
    assert client.status(f"/api/lab/jobs/{job}/suggestions/2") == 404


def test_a_file_that_fits_nothing_is_told_in_a_sentence(client):
    _, data = client.ask("/api/lab/upload?name=notes.txt", "PUT", b"words")
    answer, body = client.ask("/api/lab/open", "POST", data, Content_Type="application/json")
    assert answer.status == 400 and "is a text" in json.loads(body)["error"]


def test_an_upload_without_end_is_refused(lab):
    from micrograph.live.web import server

    app = server.build_app(None, lab=lab, most_upload=5000)
    assert app.most_body("/api/lab/upload") == 5000 and app.most_body("/api/lab/open") < 10**6


def test_names_keep_their_colours_as_others_join():
    palette = Palette()
    first = palette.of(["rod", "zebra"])
    later = palette.of(["aardvark", "rod", "round", "zebra"])
    assert later["rod"] == first["rod"] and later["zebra"] == first["zebra"]
    assert len({look["color"] for look in later.values()}) == 4


def test_what_json_cannot_hold_is_none():
    table = {"a": np.array([1.0, np.nan]), "b": np.array(["x", None], object), "c": float("inf"), "d": np.int64(3)}
    assert plain(table) == {"a": [1.0, None], "b": ["x", None], "c": None, "d": 3}
