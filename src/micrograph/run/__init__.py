"""A recipe run over frames: as they arrive (`stream`), or over a whole recording into files (`analyze`)."""

from micrograph.run.analyze import LazyTables, Result, RunSettings, analyze
from micrograph.run.recipe import Fold, Recipe, Tables
from micrograph.run.streaming import Predict, Step, Watcher, analyser, require_calibration, stream

__all__ = [
    "Fold",
    "LazyTables",
    "Predict",
    "Recipe",
    "Result",
    "RunSettings",
    "Step",
    "Tables",
    "Watcher",
    "analyser",
    "analyze",
    "require_calibration",
    "stream",
]
