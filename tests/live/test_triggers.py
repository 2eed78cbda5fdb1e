"""Rules and what they do: fired once a crossing, recorded always, never in the way of the analysis."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Flag
from micrograph.live.board import Row
from micrograph.live.engine import Engine
from micrograph.live.rules import Count, Rule, Value, read_rules
from micrograph.live.triggers import FIRED, Triggers, fired_before

TABLES = {"objects": ("frame", "y_nm", "class"), "frames": ("count",), "summary": ("density_per_nm2",)}


def rules(folder: Path, *lines: str) -> Path:
    path = folder / "rules.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_rule_is_read_as_it_is_written(tmp_path: Path) -> None:
    lines = ("# a comment", "", 'when objects[class=vac_Se].count > 12 for 3 frames: mark "many"')
    (rule,) = read_rules(rules(tmp_path, *lines), TABLES)
    assert rule.value == Value("objects", "count", "class", "vac_Se")
    assert (rule.sign, rule.limit, rule.frames, rule.action, rule.argument) == (">", 12.0, 3, "mark", '"many"')


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("if count > 3: mark", "is no rule"),
        ("when nothing.count > 3: mark", "no table 'nothing'"),
        ("when summary.area > 3: mark", "no column 'area'"),
        ("when frames.count > many: mark", "'many' is no number"),
        ("when frames.count > 3: shout", "'shout' is no action"),
        ("when frames.count > 3: webhook lab.example", "http://"),
        ("when frames.count > 3: command", "needs the program"),
        ("when frames.count > 3: command 'open", "open quote"),
        ("when frames.count > 3: pause now", "takes nothing"),
        ("when frames.count > 3: tell", "needs what the source is to be told"),
        ("when frames.count > 3 at most 0 times: mark", "at most 0 times"),
        ("# only a comment", "hold no line"),
    ],
)
def test_a_rule_that_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_rules(rules(tmp_path, line), TABLES)


def test_a_value_is_a_mean_or_what_is_asked_for_or_a_number_of_rows() -> None:
    rows = pd.DataFrame({"y_nm": [1.0, 2.0, 9.0, np.nan], "class": ["a", "a", "b", "b"]})
    assert Value("objects", "y_nm")(rows) == 4.0
    assert Value("objects", "y_nm", of="max")(rows) == 9.0
    assert Value("objects", "y_nm", "class", "a", "sum")(rows) == 3.0
    assert Value("objects", "count", "class", "b")(rows) == 2.0
    assert np.isnan(Value("objects", "z_nm")(rows)) and np.isnan(Value("objects", "y_nm")(rows.iloc[:0]))


def watched(toy: ModuleType, folder: Path, *lines: str, dry: bool = False) -> tuple[Engine, Triggers]:
    folder.mkdir(exist_ok=True)
    engine = Engine(toy.recipe(), None, toy.predict, folder)  # type: ignore[arg-type]
    return engine, Triggers(read_rules(rules(folder, *lines), TABLES), engine, dry_run=dry)


def row(index: int, count: int) -> Row:
    frames = pd.DataFrame({"frame": [index], "count": [count], "t_s": [0.5 * index]})
    return Row(index, {"frames": frames}, Flag.OK, 0.0)


def test_a_rule_fires_once_when_it_has_held_long_enough_and_again_after_it_failed(
    toy: ModuleType, tmp_path: Path
) -> None:
    engine, triggers = watched(toy, tmp_path, "when frames.count > 5 for 2 frames: mark")
    for index, count in enumerate((9, 1, 9, 9, 9, 9, 1, 9, 9)):
        triggers(row(index, count))
    triggers.close()
    assert [line["frame"] for line in fired_before(tmp_path)] == [3, 8]
    assert [line["frame"] for line in engine.board.state.fired] == [3, 8]
    assert fired_before(tmp_path)[0]["t_s"] == 1.5


def test_a_rule_may_fire_again_while_it_holds_but_no_more_than_so_often(toy: ModuleType, tmp_path: Path) -> None:
    line = "when frames.count > 5 for 2 frames again after 1 frame at most 2 times: mark"
    _, triggers = watched(toy, tmp_path, line)
    for index in range(12):
        triggers(row(index, 9))
    triggers.close()
    found = fired_before(tmp_path)
    assert [one["frame"] for one in found] == [1, 4, 7] and [one["attempt"] for one in found] == [1, 2, 3]
    assert [one["outcome"] for one in found] == ["marked", "marked", "not done: 2 times did not help"]


def test_times_are_counted_anew_when_the_rule_is_known_to_have_failed_but_not_while_nothing_is_known() -> None:
    rule = Rule("", Value("frames", "p_bad"), ">=", 0.95, 2, "mark", "", again=0, most=2)
    count = Count()
    for number in (1.0, 1.0, np.nan, np.nan, 1.0, np.nan, 1.0, 0.1):
        count = count.after(rule, number)
    assert count.fired == 1
    assert count.after(rule, 0.1).fired == 0


def test_a_source_is_told_and_one_that_takes_no_orders_is_refused(toy: ModuleType, tmp_path: Path) -> None:
    line = "when frames.count > 5: tell pulse {attempt}"
    heard: list[str] = []

    def hear(text: str) -> str:
        heard.append(text)
        return "ok"

    with pytest.raises(BadInput, match="takes no orders"):
        watched(toy, tmp_path, line)
    engine = Engine(toy.recipe(), None, toy.predict, tmp_path)  # type: ignore[arg-type]
    triggers = Triggers(read_rules(rules(tmp_path, line), TABLES), engine, told=hear)
    triggers(row(0, 9))
    triggers.close()
    assert heard == ["pulse 1"] and fired_before(tmp_path)[0]["outcome"] == "ok"


def test_pause_pauses_and_a_dry_run_does_not(toy: ModuleType, tmp_path: Path) -> None:
    for dry in (False, True):
        engine, triggers = watched(toy, tmp_path / str(dry), "when frames.count > 5: pause", dry=dry)
        triggers(row(0, 9))
        triggers.close()
        assert engine.board.state.paused is not dry
    assert fired_before(tmp_path / "True")[0]["outcome"] == "dry run"


def test_a_command_gets_frame_and_value_and_no_shell(toy: ModuleType, tmp_path: Path) -> None:
    wrote = tmp_path / "said.txt"
    program = "import sys; open(sys.argv[1], 'w').write(' '.join(sys.argv[2:]))"
    line = f'when frames.count > 5: command {sys.executable} -c "{program}" {wrote} {{frame}} {{value}} "; ls"'
    _, triggers = watched(toy, tmp_path, line)
    triggers(row(4, 9))
    triggers.close()
    assert wrote.read_text() == "4 9.0 ; ls"
    assert fired_before(tmp_path)[0]["outcome"] == "exit status 0"


def test_a_command_that_is_not_there_is_recorded_as_failed(toy: ModuleType, tmp_path: Path) -> None:
    _, triggers = watched(toy, tmp_path, "when frames.count > 5: command /no/such/program")
    triggers(row(0, 9))
    triggers.close()
    assert fired_before(tmp_path)[0]["outcome"].startswith("failed")


def test_a_webhook_is_sent_the_firing_as_json(toy: ModuleType, tmp_path: Path) -> None:
    got: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _, triggers = watched(
            toy, tmp_path, f"when frames.count > 5: webhook http://127.0.0.1:{server.server_port}/stop"
        )
        triggers(row(2, 9))
        triggers.close()
        server.shutdown()
    assert got[0]["frame"] == 2 and got[0]["value"] == 9.0
    assert fired_before(tmp_path)[0]["outcome"] == "answered 204"


def test_a_half_written_line_of_the_record_is_left_out(tmp_path: Path) -> None:
    (tmp_path / FIRED).write_text('{"frame": 1}\n{"fra')
    assert fired_before(tmp_path) == [{"frame": 1}]
