"""Every command line in the documentation names a command, a recipe and options that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from micrograph.apps.cli import app
from micrograph.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
#: Commands whose first word is a recipe; in capitals it stands for any.
OF_A_RECIPE = ("analyze", "live", "train", "validate", "simulate")


def lines(page: Path) -> Iterator[str]:
    """Yield the command lines of a page, those over several lines in one."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.finditer(r"^```\w*\n(.*?)^```|((?:^    .*\n)+)", text, re.MULTILINE | re.DOTALL):
        for line in (block[1] or block[2]).splitlines():
            if line.strip().startswith("micrograph "):
                yield line.strip()


@pytest.mark.parametrize("page", [page for page in PAGES if any(lines(page))], ids=lambda page: page.stem)
def test_commands_and_options_are_there(page: Path) -> None:
    for line in lines(page):
        words = shlex.split(line.split("<- ")[0], comments=True)[1:]
        assert words[0] in COMMANDS, line
        known = {name for option in COMMANDS[words[0]].params for name in (*option.opts, *option.secondary_opts)}
        given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert given <= known | {"--help", "--debug"}, line
        if words[0] in OF_A_RECIPE and words[1].islower() and not words[1].startswith("my-"):
            assert words[1] in RECIPES, line


def test_blocks_of_the_tutorials_are_marked_to_be_run() -> None:
    from benchmarks.tutorials import PAGES as TUTORIALS
    from benchmarks.tutorials import blocks

    numbered = [page for page in sorted(TUTORIALS.glob("*.md")) if page.stem[0] in "123"]
    assert len(numbered) == 3 and all(len(list(blocks(page))) >= 3 for page in numbered)
