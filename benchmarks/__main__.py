"""Run the benchmarks, print a table, and keep the numbers in results.json.

``python -m benchmarks [NAME...] [--quick] [--frames N]``: without names all run. Numbers of ``--quick`` are not kept.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.end_to_end import end_to_end
from benchmarks.large import large
from benchmarks.linear_model import linear_model
from benchmarks.live import live
from benchmarks.measured import Measured
from benchmarks.memory import LONG, memory
from benchmarks.movie import movie
from benchmarks.pacbed import pacbed
from benchmarks.particles import particles
from benchmarks.proposals import proposed_first
from benchmarks.scan4d import scan4d
from benchmarks.search import search
from benchmarks.start import start
from benchmarks.tutorials import tutorials
from benchmarks.validators import validators
from benchmarks.volumes import volumes
from benchmarks.workers import cores, workers

RESULTS = Path(__file__).with_name("results.json")
#: What runs, in this order.
BENCHMARKS: dict[str, Callable[[bool], list[Measured]]] = {
    "start": start,
    "linear_model": linear_model,
    "end_to_end": end_to_end,
    "memory": memory,
    "large": large,
    "movie": movie,
    "particles": particles,
    "scan4d": scan4d,
    "pacbed": pacbed,
    "volumes": volumes,
    "live": live,
    "cores": cores,
    "workers": workers,
    "search": search,
    "proposals": proposed_first,
    "validators": validators,
    "tutorials": tutorials,
}


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure time and memory against bounds.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and frames; the numbers are not kept")
    parser.add_argument("--frames", type=int, help=f"frames of the long movie (default {LONG})")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: choose of {', '.join(BENCHMARKS)}")
    return asked


def kept(new: list[Measured], path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the rows of `path` with those of `new` in place of older ones of the same name."""
    rows = {row["name"]: row for row in json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {}
    return list((rows | {one.name: one.as_dict() for one in new}).values())


def main() -> None:
    """Run what is asked for; exit status 1 if a bound is missed."""
    asked = arguments()
    chosen = dict(BENCHMARKS)
    chosen["memory"] = functools.partial(memory, frames=asked.frames)
    results: list[Measured] = []
    for name in asked.names or chosen:
        for one in chosen[name](asked.quick):
            verdict = {None: "", True: "pass", False: "falls short"}[one.passed]
            line = f"{one.name:20s} {one.value:10.4g} {one.unit:6s} {one.bound_text:12s} {verdict:12s} {one.detail}\n"
            sys.stdout.write(line)
            sys.stdout.flush()
            results.append(one)
    if not asked.quick:
        RESULTS.write_text(json.dumps(kept(results), indent=1) + "\n", encoding="utf-8")
    sys.exit(any(one.passed is False for one in results))


if __name__ == "__main__":
    main()
