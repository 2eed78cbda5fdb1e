"""Every command of the tutorials, run from an empty folder as a reader would: the blocks marked ``<!-- run -->``.

Only whether they work is judged, not how long they take; the files that lie beside the pages are there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measured import Measured

PAGES = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
_BLOCK = re.compile(r"^<!-- run -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = "#!{0}\nfrom micrograph.apps.cli import main\n\nif __name__ == '__main__':\n    main()\n"


def tutorials(quick: bool) -> list[Measured]:
    """Return one row a tutorial: how many of its blocks fail (they build on each other, so it ends at the first)."""
    return [_tried(page) for page in sorted(PAGES.glob("*.md")) if list(blocks(page))]


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield language and text of the blocks of a page that are to be run."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield found[1], found[2]


def _tried(page: Path) -> Measured:
    begun, number = time.perf_counter(), len(list(blocks(page)))
    with tempfile.TemporaryDirectory() as place:
        said = followed(page, Path(place) / "empty")
    took = f"{number} blocks, {time.perf_counter() - begun:.0f} s{said and '; '}{said}"
    return Measured(f"tutorial_{page.stem}", float(bool(said)), "", 0.0, detail=took)


def followed(page: Path, folder: Path) -> str:
    """Run the blocks of a page in a new folder and return what went wrong, '' where nothing did."""
    with tempfile.TemporaryDirectory() as programs:
        folder.mkdir()
        (Path(programs) / "micrograph").write_text(_COMMAND.format(sys.executable))
        (Path(programs) / "micrograph").chmod(0o755)
        for beside in PAGES.glob("*.tif"):
            shutil.copy(beside, folder)
        surroundings = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        for place_of, (language, text) in enumerate(blocks(page), 1):
            if said := _run(language, text, folder, surroundings):
                return f"block {place_of}: {said}"
    return ""


def _run(language: str, text: str, folder: Path, surroundings: dict[str, str]) -> str:
    """Run a block and return what went wrong, '' where nothing did."""
    script = folder / "block.py"
    if language == "python":
        script.write_text(text, encoding="utf-8")
    command = [sys.executable, str(script)] if language == "python" else ["sh", "-e", "-c", text]
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=1800)
    return "" if done.returncode == 0 else f"status {done.returncode}, {done.stderr.strip()[-160:]}"
