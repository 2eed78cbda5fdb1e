"""A recipe run over frames: as they arrive (`stream`), or over a whole recording into files (`analyze`)."""

from micrograph.run.analyze import Elsewhere, LazyTables, Result, RunSettings, analyze, observed_part
from micrograph.run.binning import suitably_binned
from micrograph.run.learning import Learner, Preparer, Presenter, Searcher, SelfTaught, learned, presented
from micrograph.run.recipe import Fold, Recipe, Tables
from micrograph.run.streaming import Analyser, Predict, Step, Watcher, require_calibration, stream

__all__ = [
    "Analyser",
    "Elsewhere",
    "Fold",
    "LazyTables",
    "Learner",
    "Predict",
    "Preparer",
    "Presenter",
    "Recipe",
    "Result",
    "RunSettings",
    "Searcher",
    "SelfTaught",
    "Step",
    "Tables",
    "Watcher",
    "analyze",
    "learned",
    "observed_part",
    "presented",
    "require_calibration",
    "stream",
    "suitably_binned",
]
