"""Why a number should be doubted."""

from enum import IntFlag, auto


class Flag(IntFlag):
    """Doubts that travel from the prediction to every row; combine with ``|``. Stored as integers in ``flags``."""

    OK = 0
    EDGE = auto()
    LOW_CONFIDENCE = auto()
    OUT_OF_DOMAIN = auto()
    NO_FIT = auto()
    BAD_FRAME = auto()

    def words(self) -> str:
        """Return the set flags as text, ``'ok'`` when none is set."""
        return " ".join(flag.name.lower() for flag in Flag if flag in self and flag.name) or "ok"
