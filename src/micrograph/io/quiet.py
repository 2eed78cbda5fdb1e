"""Readers of other projects speak to the terminal; here they are asked to raise or be silent."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

LOGGERS = ("rsciio", "tifffile", "PIL", "imageio")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and log messages of the reading libraries inside the block."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
