"""Logs of holders: what they hold, in our units, at the times of the frames."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from micrograph.core import BadInput, Calibration, Recording
from micrograph.io import log_at, open_recording, read_log, with_log

PROTOCHIPS = """Time, Notes, Holder Temperature, Holder Pressure, Tank1 Pressure
0, Date (yyyy.mm.dd) = 2014.12.15, , ,
0, Time (hh:mm:ss.ms) = 19:07:04.165, , ,
0, Time units = Milliseconds, , ,
0, Temperature units = Degrees C, , ,
0, Pressure units = Torr, , ,
0, User = eric, , ,
0, , 20.5, 760, 100
260, Gas on, 21.5, 760, 200
520, , 23.5, 380, 300
780, , 24.5, 380, 400
"""
DENS = """05/11/15 16:57\tDigiheater 3.1
R0=55.1\ta=0.1\tb=0.2\tc=0.3
Delta_t=0.5
sample\ttime\tTset[C]\tTmeas[C]\tRheat[ohm]\tVheat[V]\tIheat[mA]\tPheat [mW]\tc
1\t23:59:59.500\t100\t20\t50\t0.1\t2\t0.2\t0
2\t00:00:00.500\t100\t60\t50\t0.1\t4\t0.4\t0
3\t00:00:02.500\t200\t95\t50\t0.1\t4\t0.4\t0
"""
IMPULSE = """TimeStamp,Experiment time,Temperature Measured (degC),MixValve,Pin Measured,% Gas1 Measured,Channel#1
2021-08-06T13:40:19,0,21,0;1;0,5,1,2
2021-08-06T13:40:19.5,0.5,22,0;1;0,5,1,2
"""


def written(folder: Path, text: str, name: str = "log.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def test_a_protochips_log_is_read_in_our_units(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, PROTOCHIPS))
    assert list(log) == ["t_s", "notes", "temperature_C", "pressure_mbar", "tank1_pressure_mbar"]
    assert log["t_s"].tolist() == [0.0, 0.26, 0.52, 0.78]
    assert log["temperature_C"].tolist() == [20.5, 21.5, 23.5, 24.5]
    assert log["pressure_mbar"].tolist() == pytest.approx([1013.25, 1013.25, 506.625, 506.625])
    assert log["notes"].tolist() == ["", "Gas on", "", ""]
    assert log.attrs == {"notes": [], "start": "2014.12.15 19:07:04.165"}


def test_a_protochips_log_agrees_with_rosettasciio(tmp_path: Path) -> None:
    from rsciio.protochips._api import ProtochipsCSV

    theirs = ProtochipsCSV(str(written(tmp_path, PROTOCHIPS)))
    log = read_log(tmp_path / "log.csv")
    assert theirs.get_dictionary("Holder Temperature")["data"].tolist() == log["temperature_C"].tolist()
    assert (theirs.time_axis / 1000).tolist() == log["t_s"].tolist()


def test_a_digiheater_log_goes_on_over_midnight_and_keeps_its_set_points(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, DENS, "heating.dens"))
    assert log["t_s"].tolist() == [0.0, 1.0, 3.0]
    assert log["temperature_set_C"].tolist() == [100, 100, 200] and log["temperature_C"].tolist() == [20, 60, 95]
    assert log["current_A"].tolist() == pytest.approx([2e-3, 4e-3, 4e-3])
    assert log["power_W"].tolist() == pytest.approx([2e-4, 4e-4, 4e-4])
    assert {"resistance_ohm", "voltage_V", "sample", "c"} <= set(log)


def test_a_digiheater_log_agrees_with_rosettasciio(tmp_path: Path) -> None:
    from rsciio.dens import file_reader

    path = written(tmp_path, DENS.replace("05/11/15", "05/11/'15"), "heating.dens")
    (theirs,) = file_reader(str(path))
    assert theirs["data"].tolist() == read_log(path)["temperature_C"].tolist()


def test_an_impulse_log_counts_from_its_own_zero(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, IMPULSE))
    assert log["t_s"].tolist() == [0.0, 0.5] and log["temperature_C"].tolist() == [21, 22]
    assert {"pin_measured", "gas1_measured", "channel_1", "mixvalve"} <= set(log)
    assert log.attrs["start"] == "2021-08-06T13:40:19"


@pytest.mark.parametrize(
    ("text", "t_s", "temperature"),
    [
        ("frame, seconds, temperature\n1,0.5,20\n2,1.0,21\n", [0.5, 1], [20, 21]),
        ("# frame seconds temperature_C\n1 0.5 20\n2 1.0 21\n", [0.5, 1], [20, 21]),
        ("Time (ms)\tT/K\n0\t273.15\n1000\t274.15\n", [0, 1], [0, 1]),
        ("t / min;Temp. (°C)\n0;20,5\n1,5;21,5\n", [0, 90], [20.5, 21.5]),
        ("time,temperature\nh,K\n0,300\n1,301\n", [0, 3600], [26.85, 27.85]),
        ("Date,Time,Temperature (F)\n06/08/2021,23:59:59,32\n07/08/2021,00:00:00.5,212\n", [0, 1.5], [0, 100]),
        ("timestamp;temperature [°C]\n2021-08-06 13:40:19.25;1\n2021-08-06 13:41:19;2\n", [0, 59.75], [1, 2]),
        ("time temperature\n10 1\n0 2\n", [0, 10], [2, 1]),
        ('"Time [s]","Temperature [K]"\n"0","300"\n"2","310"\n', [0, 2], [26.85, 36.85]),
    ],
)
def test_a_text_table_is_read_whatever_parts_its_columns(
    tmp_path: Path, text: str, t_s: list[float], temperature: list[float]
) -> None:
    if "(F)" in text:
        text = text.replace("(F)", "(°F)")
    for encoding in ("utf-8", "cp1252", "utf-16"):
        log = read_log(written(tmp_path, text, encoding=encoding))
        assert log["t_s"].tolist() == pytest.approx(t_s)
        assert log["temperature_C"].tolist() == pytest.approx(temperature)


def test_what_had_to_be_assumed_is_said(tmp_path: Path) -> None:
    notes = read_log(written(tmp_path, "time temperature\n10 1\n0 2\n")).attrs["notes"]
    assert [word in note for word, note in zip(("seconds", "C is assumed", "sorted"), notes, strict=True)] == [True] * 3


def test_names_of_images_tell_frame_time_and_temperature(tmp_path: Path) -> None:
    names = ("Chip-Frame124-125sec-49C.tif", "Chip-Frame2-0sec-20C.tif", "Chip-Frame47-49sec-24C.tif")
    log = read_log(written(tmp_path, "\n".join(names), "names.txt"))
    assert log[["t_s", "frame", "temperature_C"]].to_numpy().tolist() == [[0, 2, 20], [49, 47, 24], [125, 124, 49]]


def test_measured_values_are_lines_and_set_points_are_steps(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, DENS, "heating.dens"))
    at = log_at(log, [0.5, 2.0, 3.0, 3.1, -1.0])
    assert at["temperature_C"].tolist()[:3] == [40.0, 77.5, 95.0]
    assert at["temperature_set_C"].tolist()[:3] == [100.0, 100.0, 200.0]
    assert at["temperature_C"].isna().tolist() == [False, False, False, True, True]
    assert at.attrs["notes"] == ["2 of 5 times lie outside the log, where nothing is known"]


def movie(frames: int, frame_time_s: float | None = 0.5) -> Recording:
    calibration = Calibration(frame_time_s=frame_time_s)
    return Recording(lambda index: np.zeros((4, 4)), range(frames), calibration, (4, 4), metadata={"notes": ["old"]})


def test_every_frame_knows_what_the_log_says_of_it(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "time (s),temperature (C)\n0,0\n10,100\n"))
    heated = with_log(movie(40), log, begins_s=1.0)
    assert heated.frame(4).known == {"temperature_C": pytest.approx(30.0)}
    assert heated[4:8].frame(0).known == heated.frame(4).known
    assert np.isnan(heated.frame(39).known["temperature_C"])
    assert heated.metadata["notes"][0] == "old" and "lie outside the log" in heated.metadata["notes"][1]
    assert pickle.loads(pickle.dumps(heated.known))(4) == heated.frame(4).known


def test_frame_numbers_of_a_log_are_those_in_the_names_of_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (2, 47, 124):
        Image.fromarray(np.zeros((12, 12), np.uint8)).save(folder / f"Heat-1-Frame-{number}.png")
    log = read_log(written(tmp_path, "frame,time (s),temperature (C)\n2,0,20\n124,122,49\n"))
    heated = with_log(open_recording(folder), log)
    assert heated.frame(1).known == {"log_frame": 47, "t_s": 45, "temperature_C": pytest.approx(20 + 29 * 45 / 122)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\nworld\n", "no rows of numbers"),
        ("1 2 3\n4 5 6\n", "no line of column names"),
        ("a b\n1 2\n3 4\n", "no column of times or frame numbers among 'a', 'b'"),
        ("time,notes\n0,a\n1,b\n", "holds no rows of numbers"),
        ("", "empty"),
    ],
)
def test_what_is_no_log_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        read_log(written(tmp_path, text))
    assert "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_a_binary_file_and_a_folder_are_no_logs(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(bytes(range(256)))
    for path in (tmp_path, tmp_path / "x.csv"):
        with pytest.raises(BadInput, match=r"is no (log|text)"):
            read_log(path)


def test_a_log_of_another_recording_is_refused(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "time (s),temperature (C)\n1000,0\n1010,100\n"))
    with pytest.raises(BadInput, match=r"covers t_s 1000 to 1010, the recording 0 to 19\.5"):
        with_log(movie(40), log)
    with pytest.raises(BadInput, match="no frame time"):
        with_log(movie(40, None), log)


@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 400), st.sampled_from('0,;\t \n"=.:-x')), max_size=12))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_log_is_read_or_refused(tmp_path: Path, kind: int, damage: list[tuple[int, str]]) -> None:
    text = list((PROTOCHIPS, DENS, IMPULSE)[kind])
    for place, sign in damage:
        text[place % len(text)] = sign
    try:
        log = read_log(written(tmp_path, "".join(text)))
    except BadInput as refused:
        assert "\n" not in str(refused)
    else:
        assert (np.diff(log["t_s"]) >= 0).all() and log.columns.is_unique
        log_at(log, [0.0, 1.0])
