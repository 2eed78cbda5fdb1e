"""How long a user waits before anything happens: import and help, each in a fresh process."""

from __future__ import annotations

import statistics
import subprocess
import sys

from benchmarks.measured import Measured, timed


def start(quick: bool) -> list[Measured]:
    """Return the medians of five fresh processes, start of Python included."""
    repeats = 3 if quick else 5
    program = "import sys; sys.argv = ['micrograph', '--help']; from micrograph.apps.cli import main; main()"
    bare = _process("pass", repeats)
    note = f"a fresh process; Python alone takes {bare:.2f} s of it"
    return [
        Measured("import", _process("import micrograph", repeats), "s", 0.3, detail=note),
        Measured("help", _process(program, repeats), "s", 0.5, detail=note),
    ]


def _process(code: str, repeats: int) -> float:
    command = [sys.executable, "-c", code]
    return statistics.median(
        timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)).wall for _ in range(repeats)
    )
