"""The command line in this process: arguments in, status and both outputs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from micrograph.apps import cli


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return a function that runs ``micrograph`` with the given arguments."""

    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Answer(int(left.value.code or 0), out, err)

    return run
