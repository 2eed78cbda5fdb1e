"""Simulated tables of a movie for the tests of this room."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def movies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("movies", Path(__file__).with_name("movies.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
