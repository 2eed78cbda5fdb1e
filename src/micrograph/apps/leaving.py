"""How a command leaves: every error one sentence on standard error, and a status that scripts can read."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import NoReturn

import typer

STOPPED = "stopped; what was finished is kept (--resume goes on)."


def run(app: typer.Typer, given: list[str]) -> NoReturn:
    """Run a command and leave with its status: 0 done, 2 unusable input, 130 stopped, 1 an error of ours.

    Every error is one sentence on standard error; --debug, anywhere, shows warnings and the traceback instead.
    """
    debug = "--debug" in given
    try:
        _run(app, [argument for argument in given if argument != "--debug"], debug)
    except Exception as error:
        if debug:
            raise
        _stop(*_sentence(app, error, given))


def _run(app: typer.Typer, arguments: list[str], debug: bool) -> NoReturn:
    """Run a command, silently but for what it shows itself, and leave."""
    if not debug:
        logging.getLogger().addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        status = app(args=arguments, prog_name="micrograph", standalone_mode=False)
    if status == 130:
        _stop(STOPPED, 130)
    sys.exit(status if isinstance(status, int) else 0)


def _sentence(app: typer.Typer, error: Exception, given: list[str]) -> tuple[str, int]:
    """Return the sentence for an error and the exit status."""
    from micrograph.core import MicrographError

    match error:
        case typer.Abort():
            return STOPPED, 130
        case typer.exceptions.TyperException():
            commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
            command = next((f"{name} " for name in given if name in commands), "")
            return f"{error.format_message().rstrip('.')}: see 'micrograph {command}--help'.", 2
        case MicrographError():
            return str(error), 2
        case MemoryError():
            return "the memory of this machine does not suffice: give --memory, fewer frames or a smaller image.", 2
        case OSError():
            what = f"{error.filename or 'a file'} ({error.strerror or error})"
            return f"{what} cannot be read or written: check the disk and your permissions.", 2
    said = f"{type(error).__name__}: {error}"
    return f"an error inside micrograph ({said}); run again with --debug and report it.", 1


def _stop(sentence: str, status: int) -> NoReturn:
    """Print one sentence on standard error, in one line, and leave."""
    sys.stderr.write(f"micrograph: {' '.join(sentence.split())}\n")
    sys.exit(status)
