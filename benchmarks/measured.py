"""A measured number against its bound, and the two ways of taking time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One number: `bound` is its upper limit (the lower one if `at_least`), ``None`` if it is only reported."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False
    detail: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the bound is met; ``None`` without a bound."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def bound_text(self) -> str:
        """The bound as text, '-' for none."""
        return "-" if self.bound is None else f"{'>=' if self.at_least else '<='} {self.bound:g} {self.unit}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of results.json."""
        row = asdict(self) | {"bound_text": self.bound_text, "passed": self.passed}
        del row["at_least"]
        return row


@dataclass(frozen=True)
class Seconds:
    """Wall-clock time, and processor time of all threads of this process."""

    wall: float
    cpu: float

    def less(self, part: Seconds) -> Seconds:
        """Return what is left without `part`."""
        return Seconds(self.wall - part.wall, self.cpu - part.cpu)


def timed(work: Callable[[], object]) -> Seconds:
    """Return how long one call of `work` took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def median(times: list[Seconds]) -> Seconds:
    """Return the medians of both times."""
    return Seconds(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times))
