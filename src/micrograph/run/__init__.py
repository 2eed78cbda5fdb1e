"""A recipe run over frames: as they arrive (`stream`), or over a whole recording into files (`analyze`)."""

from micrograph.run.recipe import Fold, Recipe, Tables

__all__ = ["Fold", "Recipe", "Tables"]
