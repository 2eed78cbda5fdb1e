"""micrograph live and view: the tables of analyze from a source, and one sentence for what is wrong."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograph.apps import cli, requests, watching
from micrograph.apps.desk import Desk
from micrograph.core import BadInput
from micrograph.live.web.lab import Given
from micrograph.recipes import find_recipe
from micrograph.run.record import read_json
from micrograph.simulate import ParticleSampler

SAMPLER = ParticleSampler(
    side_px=96, diameter_px=(18, 22), contrast_to_noise=(5, 6), covered=(0.1, 0.2), gaps=("apart",), bright=0.0,
    liquid=0.0, empty=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(4)
    path = Path(tmp_path_factory.mktemp("movie")) / "movie.npy"
    np.save(path, np.stack([SAMPLER(rng).image for _ in range(6)]))
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main([str(one) for one in arguments])
    return int(left.value.code or 0)


CALIBRATION = ("--pixel-size", "0.5 nm", "--frame-time", "0.5 s")


def test_a_replayed_file_gives_the_files_of_analyze_byte_for_byte(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("analyze", "particle-shapes", movie, "-o", tmp_path / "file", *CALIBRATION) == 0
    rules = tmp_path / "rules.txt"
    rules.write_text("when frames.count > 0 for 2 frames: mark\n")
    capsys.readouterr()
    live = ("live", "particle-shapes", f"replay:{movie}", "-o", tmp_path / "live", *CALIBRATION)
    assert run(*live, "--speed", "fastest", "--no-page", "--triggers", rules) == 0
    assert "6 frames" in capsys.readouterr().out
    tables = sorted(path.name for path in (tmp_path / "file").glob("*.parquet"))
    for name in [*tables, *(name.replace("parquet", "csv") for name in tables)]:
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "file" / name).read_bytes(), name
    (fired,) = (tmp_path / "live" / "fired.jsonl").read_text().splitlines()
    assert json.loads(fired)["frame"] == 1 and json.loads(fired)["outcome"] == "marked"


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("camera", (), "folder:PATH"),
        ("replay:{movie}", ("--speed", "quick"), "--speed"),
        ("replay:{movie}", ("--policy", "some"), "--policy"),
        ("replay:{movie}", ("--until-idle", "5"), "--until-idle"),
        ("replay:{movie}", ("--triggers", "{movie}"), "cannot be read as text"),
        ("replay:/no/such/file.npy", (), "does not exist"),
        ("folder:/no/such/folder", (), "does not exist"),
        ("zmq://127.0.0.1", (), "port"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    movie: Path, tmp_path: Path, source: str, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, options = source.format(movie=movie), tuple(option.format(movie=movie) for option in options)
    assert run("live", "particle-shapes", source, "-o", tmp_path, *CALIBRATION, "--no-page", *options) == 2
    error = capsys.readouterr().err
    assert said.lower() in error.lower() and error.count("\n") == 1


def test_a_recipe_that_learns_from_the_recording_is_refused_with_what_to_do(movie: Path, tmp_path: Path) -> None:
    asked = watching.LiveRequest(requests.Request("movie-defects"), f"replay:{movie}", speed="fastest")
    with pytest.raises(BadInput, match="--weights"):
        watching.prepared(asked, tmp_path)


def test_the_page_of_a_live_analysis_is_served_while_it_runs(movie: Path, tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    states: list[Any] = []
    answers: list[int] = []

    def opened(address: str) -> None:
        answers.append(httpx.get(address, follow_redirects=True).status_code)

    def tell(state: Any) -> None:
        states.append(state)
        if not state.running:
            raise KeyboardInterrupt

    request = requests.Request("particle-shapes", {"pixel_nm": "0.5 nm", "frame_time_s": "0.5 s"})
    asked = watching.LiveRequest(request, f"replay:{movie}", speed="fastest")
    watching_record: Any = None
    with pytest.raises(KeyboardInterrupt):
        watching_record = watching.live(asked, tmp_path, watching.PageRequest(), opened=opened, tell=tell)
    assert answers == [200] and states[-1].frames == (0, 5) and watching_record is None


def test_the_desk_asks_for_what_a_recipe_needs_and_runs_it_as_analyze_does(movie: Path, tmp_path: Path) -> None:
    desk = Desk(movie.parent, tmp_path / "page")
    *_, found = desk.open(movie)
    pixel = next(scale for scale in found.scales if scale.name == "pixel_nm")
    assert found.facts["frames"] == "6" and (pixel.file, pixel.given) == ("", "")
    tasks = {one.recipe: find_recipe(one.recipe).task for one in found.proposals}
    measuring = [
        one for one in found.proposals if "pixel_nm" in tasks[one.recipe].needs and "image" in tasks[one.recipe].takes
    ]
    assert len(measuring) > 10
    assert all(one.missing == ("pixel_nm",) and "pixel size" in one.reason for one in measuring)
    with pytest.raises(BadInput, match="needs the pixel size"):
        desk.run("particle-shapes", movie)
    given = Given({"pixel_nm": "5 angstrom", "frame_time_s": "500 ms", "voltage_kV": "80 kV"})
    job = desk.run("particle-shapes", movie, given)
    deadline = time.monotonic() + 60
    while not job.progress.ended and time.monotonic() < deadline:
        time.sleep(0.02)
    assert job.progress.ended == "done" and job.report is not None and job.shown is not None
    options = (*CALIBRATION, "--voltage", "80 kV")
    assert run("analyze", "particle-shapes", movie, "-o", tmp_path / "file", *options) == 0
    ours, theirs = (read_json(folder / "run.json") for folder in (job.report.parent, tmp_path / "file"))
    assert ours is not None and theirs is not None and ours["key"] == theirs["key"]
    assert ours["key"]["input"]["calibration"]["voltage_kV"] == 80


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pixel_nm": "0.5"}, "'pixel size' is '0.5', which has no unit"),
        ({"pixel_nm": "-1 nm"}, "greater than zero"),
        ({"pixel_nm": "80 kV"}, "not a quantity in nm"),
        ({"voltage_kV": "9**9**9**9 kV"}, "voltage is '9**9**9**9 kV'"),
        ({"inner_mrad": "90 mrad", "outer_mrad": "80 mrad"}, "'detector, outer angle' '80 mrad'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_on_the_page(
    movie: Path, tmp_path: Path, values: dict[str, str], said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        next(Desk(movie.parent, tmp_path).open(movie, Given(values)))
    assert said in str(refused.value) and "--" not in str(refused.value)


def test_the_page_pauses_an_analysis_and_lets_it_go_on(movie: Path, tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    answers: list[int] = []
    asked: list[Any] = []

    def opened(address: str) -> None:
        with httpx.Client(follow_redirects=True) as client:
            client.get(address)
            own = {"Origin": address.split("/?")[0].rstrip("/")}
            base = httpx.URL(address).copy_with(path="/api/main/pause", query=None)
            answers.append(client.post(base, json={"paused": True}, headers=own).status_code)
            answers.append(client.post(base, json={"paused": "perhaps?"}, headers=own).status_code)
            answers.append(client.post(base, json={"paused": False}, headers=own).status_code)

    def tell(state: Any) -> None:
        asked.append(state.paused)
        if not state.running:
            raise KeyboardInterrupt

    request = requests.Request("particle-shapes", {"pixel_nm": "0.5 nm", "frame_time_s": "0.5 s"})
    live = watching.LiveRequest(request, f"replay:{movie}", speed="fastest")
    with pytest.raises(KeyboardInterrupt):
        watching.live(live, tmp_path, watching.PageRequest(), opened=opened, tell=tell)
    assert answers == [200, 422, 200] and asked[-1] is None


def words_of(report: Path) -> list[str]:
    """Return the text of a report without its pictures, and without what tells when and how long it ran."""
    text = re.sub(r"data:image/[^\"']+|<style.*?</style>", "", report.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "\n", text).split("\n")


def test_a_live_run_leaves_the_report_of_analyze(movie: Path, tmp_path: Path) -> None:
    assert run("analyze", "particle-shapes", movie, "-o", tmp_path / "file", *CALIBRATION) == 0
    live = ("live", "particle-shapes", f"replay:{movie}", "-o", tmp_path / "live", *CALIBRATION)
    assert run(*live, "--speed", "fastest", "--no-page") == 0
    pictures = sorted(path.name for path in (tmp_path / "file" / "figures").iterdir())
    assert pictures and pictures == sorted(path.name for path in (tmp_path / "live" / "figures").iterdir())
    for name in pictures:
        ours, theirs = (tmp_path / kind / "figures" / name for kind in ("live", "file"))
        assert ours.read_bytes() == theirs.read_bytes(), name
    ours, theirs = (words_of(tmp_path / kind / "report.html") for kind in ("live", "file"))
    other = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    assert all(re.fullmatch(r"[\d.]+ s", word) for pair in other for word in pair), "only how long it took may differ"
    keys = [json.loads((tmp_path / kind / "run.json").read_text())["key"]["input"] for kind in ("live", "file")]
    assert keys[0] == keys[1]


def test_the_report_of_a_stream_shows_the_frames_that_were_kept_and_the_page_links_to_it(
    movie: Path, tmp_path: Path
) -> None:
    httpx = pytest.importorskip("httpx")
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate([*np.load(movie), *np.load(movie)]):
        np.save(folder / f"haadf_{number:04d}.npy", image)
    found: list[tuple[bool, int]] = []
    clients: list[Any] = []

    def opened(address: str) -> None:
        clients.append(httpx.Client(base_url=address.split("/?")[0], follow_redirects=True))
        clients[0].get(address)

    def tell(state: Any) -> None:
        if not state.running:
            found.append((state.report, clients[0].get("/api/main/report").status_code))
            if state.report:
                raise KeyboardInterrupt

    request = requests.Request("particle-shapes", {"pixel_nm": "0.5 nm", "frame_time_s": "0.5 s"})
    asked = watching.LiveRequest(request, f"folder:{folder}", until_idle="0.5 s", ring=11)
    with pytest.raises(KeyboardInterrupt):
        watching.live(asked, tmp_path / "live", watching.PageRequest(), opened=opened, tell=tell)
    clients[0].close()
    assert found[0] == (False, 404) and found[-1] == (True, 200)
    record = json.loads((tmp_path / "live" / "run.json").read_text())
    assert record["key"]["input"]["digest"] is None and record["key"]["input"]["frames"] == [0, 12, 1]
    assert any("shows frames 1 to 11" in sentence for sentence in record["warnings"])
    assert (tmp_path / "live" / "movie.mp4").stat().st_size > 1000
    assert (tmp_path / "live" / "figures" / "outlines.png").exists()
