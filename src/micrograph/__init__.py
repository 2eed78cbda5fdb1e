"""Machine-learning analysis of microscope recordings: calibrated tables, pictures and reports.

>>> import micrograph
>>> micrograph.__version__
'0.1.0'
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micrograph.apps.python import (
        analyze,
        compress,
        from_hyperspy,
        open,
        recipe,
        scan_path,
        suggest,
        to_hyperspy,
        train,
        validate,
        watch,
    )

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "analyze",
    "compress",
    "from_hyperspy",
    "open",
    "recipe",
    "scan_path",
    "suggest",
    "to_hyperspy",
    "train",
    "validate",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Import the Python interface when it is first used: ``import micrograph`` alone stays light."""
    if name in __all__:
        from micrograph.apps import python

        return getattr(python, name)
    raise AttributeError(f"module 'micrograph' has no attribute '{name}'")


class _Package(ModuleType):
    """The package, whose verbs stay verbs when the rooms of the same names (train, validate) are imported."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute, but put no room in a verb's place."""
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
