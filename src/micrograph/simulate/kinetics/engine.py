"""The machinery of kinetic Monte Carlo: what is possible now, kept up to date event by event, and the draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Generic, TypeVar

import numpy as np

from micrograph.core import BadInput
from micrograph.simulate.kinetics.history import KINDS, Events, History
from micrograph.simulate.kinetics.lattice import SiteGraph
from micrograph.simulate.kinetics.processes import Bind, Change, Create, Hop, Process, Split, Vanish
from micrograph.simulate.kinetics.rates import Schedule, rate_per_s

T = TypeVar("T")

_UNBOUND = -1
_GONE = -1


class Pool(Generic[T]):
    """A set from which a member is drawn, added or removed in constant time."""

    def __init__(self, items: Sequence[T] = ()) -> None:
        self.items = list(items)
        self._place = {item: i for i, item in enumerate(self.items)}

    def __len__(self) -> int:
        """Number of items."""
        return len(self.items)

    def add(self, item: T) -> None:
        """Take `item` in, unless it is there."""
        if item not in self._place:
            self._place[item] = len(self.items)
            self.items.append(item)

    def discard(self, item: T) -> None:
        """Remove `item`, if it is there."""
        place = self._place.pop(item, None)
        if place is not None:
            last = self.items.pop()
            if place < len(self.items):
                self.items[place] = last
                self._place[last] = place

    def draw(self, uniform: float) -> T:
        """Return the member at `uniform` (0..1) of the way through the list."""
        return self.items[int(uniform * len(self.items))]


@dataclass
class _Course:
    """A process while it runs: how many chances it has now, how to let one happen, what has happened so far."""

    process: Process | Split
    chances: Callable[[], float]
    happen: Callable[[], None]
    rate: float = 0.0
    count: int = 0
    exposure_s: float = 0.0
    expected: float = 0.0


class Engine:
    """Objects on `sites` under `processes`; lists indexed by object number or by site hold what is the case now."""

    def __init__(
        self,
        sites: SiteGraph,
        processes: tuple[Process, ...],
        states: tuple[str, ...],
        apart_nm: float,
        rng: np.random.Generator,
    ) -> None:
        self.sites, self.states = sites, states
        self._number = {state: i for i, state in enumerate(states)}
        self._uniforms = _uniforms(rng)
        self._now = 0.0
        self._near: list[list[int]] = sites.near.tolist()
        self._step: list[list[list[float]]] = sites.step_nm.tolist()
        self._site: list[int] = []
        self._state: list[int] = []
        self._partner: list[int] = []
        self._place: list[tuple[float, float]] = []
        self._ways: list[int] = []
        self._occupant = [-1] * len(sites)
        around = sites.within(apart_nm) if apart_nm > 0 else [[] for _ in range(len(sites))]
        self._zone = [[site, *others] for site, others in enumerate(around)]
        self._shade = [0] * len(sites)
        self._unbound: list[Pool[int]] = [Pool() for _ in states]
        self._free_ways = [0] * len(states)
        self._mobile = [False] * len(states)
        self._empty: list[tuple[Pool[int], frozenset[int]]] = []
        self._binds: list[_Pairs] = []
        self._log: list[tuple[float, int, int, int, int, int, float, float]] = []
        self._courses = [course for process in processes for course in self._courses_of(process)]
        self._touched = self._touch() if any(self._mobile) else [[] for _ in range(len(sites))]

    def _touch(self) -> list[list[int]]:
        """Return for every site those whose occupant may gain or lose a way when an object comes or goes there."""
        return [
            sorted({near for blocked in zone for near in self._near[blocked] if near >= 0} - {site})
            for site, zone in enumerate(self._zone)
        ]

    def _courses_of(self, process: Process) -> list[_Course]:
        """Return the process with its chances and its happening; a bind brings its split with it."""
        state = self._number[process.states[0]]
        pool = self._unbound[state]
        if isinstance(process, Hop):
            self._mobile[state] = True
            most = self.sites.most
            return [_Course(process, lambda: self._free_ways[state] / most, lambda: self._hop(state))]
        if isinstance(process, Create):
            allowed = list(range(len(self.sites))) if process.sites is None else process.sites.tolist()
            empty = Pool(allowed)
            self._empty.append((empty, frozenset(allowed)))
            return [_Course(process, empty.__len__, lambda: self._create(state, empty))]
        if isinstance(process, Vanish):
            return [_Course(process, pool.__len__, lambda: self._vanish(pool))]
        if isinstance(process, Change):
            to = self._number[process.to]
            return [_Course(process, pool.__len__, lambda: self._change(pool, to))]
        pairs = _Pairs(process, self._number[process.first], self._number[process.second], self.sites)
        self._binds.append(pairs)
        return [
            _Course(process, pairs.able.__len__, lambda: self._bind(pairs)),
            _Course(Split(process), pairs.bound.__len__, lambda: self._split(pairs)),
        ]

    # -- time ------------------------------------------------------------------------------------------------------

    def run(self, schedule: Schedule, end_s: float, most_events: int) -> None:
        """Let things happen until `end_s`."""
        ends = [*schedule.start_s[1:], end_s]
        for conditions, until in zip(schedule.conditions, ends, strict=True):
            for course in self._courses:
                course.rate = rate_per_s(course.process.rate, conditions)
            self._run_until(min(until, end_s), most_events)

    def _run_until(self, until_s: float, most_events: int) -> None:
        courses = self._courses
        while True:
            weights = []
            for course in courses:
                weights.append(course.chances())
            total = sum(course.rate * chances for course, chances in zip(courses, weights, strict=True))
            wait = -log(1.0 - next(self._uniforms)) / total if total > 0 else np.inf
            span = min(wait, until_s - self._now)
            for course, chances in zip(courses, weights, strict=True):
                course.exposure_s += span * chances
                course.expected += span * chances * course.rate
            if wait >= until_s - self._now:
                self._now = until_s
                return
            self._now += wait
            chosen = self._drawn(weights, total)
            chosen.count += 1
            chosen.happen()
            if len(self._log) > most_events:
                raise BadInput(
                    f"More than {most_events} events happened by {self._now:.4g} s: lower rates or end sooner."
                )

    def _drawn(self, weights: list[float], total: float) -> _Course:
        left = next(self._uniforms) * total
        possible = [(course, course.rate * chances) for course, chances in zip(self._courses, weights, strict=True)]
        possible = [(course, weight) for course, weight in possible if weight > 0]
        for course, weight in possible:
            left -= weight
            if left < 0:
                return course
        return possible[-1][0]

    # -- what happens ----------------------------------------------------------------------------------------------

    def place(self, site: int, state: str) -> None:
        """Put an object there at the beginning."""
        if self._shade[site]:
            raise BadInput(f"An object cannot start on site {site}: another one is there, or too close.")
        self._appear(site, self._number[state], "start")

    def _create(self, state: int, empty: Pool[int]) -> None:
        self._appear(empty.draw(next(self._uniforms)), state, "create")

    def _appear(self, site: int, state: int, kind: str) -> None:
        one = len(self._site)
        y, x = self.sites.y_x_nm[site].tolist()
        self._site.append(site)
        self._state.append(state)
        self._partner.append(_UNBOUND)
        self._place.append((y, x))
        self._ways.append(0)
        self._settle(one)
        self._note(kind, one)

    def _hop(self, state: int) -> None:
        """Move one of the free ways of all walkers, each as likely as the others."""
        pool, most = self._unbound[state], self.sites.most
        while True:
            one, slot = pool.draw(next(self._uniforms)), int(next(self._uniforms) * most)
            site = self._site[one]
            to = self._near[site][slot]
            if to >= 0 and self._open(site, to):
                break
        (y, x), (dy, dx) = self._place[one], self._step[site][slot]
        self._leave(one)
        self._site[one], self._place[one] = to, (y + dy, x + dx)
        self._settle(one)
        self._note("hop", one)

    def _vanish(self, pool: Pool[int]) -> None:
        one = pool.draw(next(self._uniforms))
        self._leave(one)
        self._state[one] = _GONE
        self._note("vanish", one)

    def _change(self, pool: Pool[int], to: int) -> None:
        one = pool.draw(next(self._uniforms))
        self._forget(one)
        self._state[one] = to
        self._know(one)
        self._note("change", one)

    def _bind(self, pairs: _Pairs) -> None:
        a, b = pairs.able.draw(next(self._uniforms))
        self._join((a, b), (b, a), "bind")
        pairs.bound.add((a, b))

    def _split(self, pairs: _Pairs) -> None:
        a, b = pairs.bound.draw(next(self._uniforms))
        pairs.bound.discard((a, b))
        self._join((a, b), (_UNBOUND, _UNBOUND), "split")

    def _join(self, pair: tuple[int, int], partners: tuple[int, int], kind: str) -> None:
        for one in pair:
            self._forget(one)
        for one, partner in zip(pair, partners, strict=True):
            self._partner[one] = partner
        for one in pair:
            self._know(one)
            self._note(kind, one)

    def _note(self, kind: str, one: int) -> None:
        y, x = self._place[one]
        self._log.append(
            (self._now, KINDS.index(kind), one, self._site[one], self._state[one], self._partner[one], y, x)
        )

    # -- what is possible ------------------------------------------------------------------------------------------

    def _open(self, site: int, to: int) -> bool:
        """Tell whether the object on `site` may go `to` a neighbouring one: no other object is there or too close."""
        return self._shade[to] == (1 if site in self._zone[to] else 0)

    def _settle(self, one: int) -> None:
        """Let an object take its site: it shades those around and shuts some ways of its neighbours."""
        site = self._site[one]
        self._occupant[site] = one
        for shaded in self._zone[site]:
            self._shade[shaded] += 1
            for empty, _ in self._empty:
                empty.discard(shaded)
        self._know(one)
        self._recount_around(site)

    def _leave(self, one: int) -> None:
        site = self._site[one]
        self._forget(one)
        self._occupant[site] = -1
        for shaded in self._zone[site]:
            self._shade[shaded] -= 1
            if not self._shade[shaded]:
                for empty, allowed in self._empty:
                    if shaded in allowed:
                        empty.add(shaded)
        self._recount_around(site)

    def _recount_around(self, site: int) -> None:
        for touched in self._touched[site]:
            other = self._occupant[touched]
            if other >= 0 and self._partner[other] == _UNBOUND:
                self._recount(other)

    def _recount(self, one: int) -> None:
        """Count the free ways of an unbound object anew."""
        state = self._state[one]
        if self._mobile[state]:
            site = self._site[one]
            ways = sum(to >= 0 and self._open(site, to) for to in self._near[site])
            self._free_ways[state] += ways - self._ways[one]
            self._ways[one] = ways

    def _know(self, one: int) -> None:
        """List an unbound object with all that it can do."""
        if self._partner[one] != _UNBOUND:
            return
        self._unbound[self._state[one]].add(one)
        self._recount(one)
        for pairs in self._binds:
            pairs.know(one, self._site, self._state, self._partner, self._occupant)

    def _forget(self, one: int) -> None:
        """Strike an object, before it changes, from all lists of what it can do."""
        state = self._state[one]
        self._unbound[state].discard(one)
        self._free_ways[state] -= self._ways[one]
        self._ways[one] = 0
        for pairs in self._binds:
            pairs.forget(one)

    def history(self, end_s: float) -> History:
        """Return all that happened."""
        columns = zip(*self._log, strict=True) if self._log else ([] for _ in range(8))
        t, kind, one, site, state, partner, y, x = (np.asarray(column) for column in columns)
        whole = {"kind": kind, "object": one, "site": site, "state": state, "partner": partner}
        place = np.column_stack([y, x]).astype(float)
        return History(
            sites=self.sites,
            states=self.states,
            events=Events(
                t_s=t.astype(float), y_x_nm=place, **{name: rows.astype(np.intp) for name, rows in whole.items()}
            ),
            end_s=end_s,
            names=tuple(course.process.name for course in self._courses),
            counts=np.array([course.count for course in self._courses], dtype=np.intp),
            exposure_s=np.array([course.exposure_s for course in self._courses], dtype=float),
            expected=np.array([course.expected for course in self._courses], dtype=float),
        )


class _Pairs:
    """Pairs of one kind of bond: those able to bind (unbound and close) and those bound."""

    def __init__(self, process: Bind, first: int, second: int, sites: SiteGraph) -> None:
        self.able: Pool[tuple[int, int]] = Pool()
        self.bound: Pool[tuple[int, int]] = Pool()
        self._mate = {first: second, second: first}
        self._reach = sites.within(process.reach_nm)
        self._beside: dict[int, set[int]] = {}

    def know(self, one: int, site: list[int], state: list[int], partner: list[int], occupant: list[int]) -> None:
        """List the pairs that an unbound object can make."""
        mate = self._mate.get(state[one])
        if mate is None:
            return
        for near in self._reach[site[one]]:
            other = occupant[near]
            if other >= 0 and state[other] == mate and partner[other] == _UNBOUND:
                self.able.add((min(one, other), max(one, other)))
                self._beside.setdefault(one, set()).add(other)
                self._beside.setdefault(other, set()).add(one)

    def forget(self, one: int) -> None:
        """Strike the pairs of an object."""
        for other in self._beside.pop(one, ()):
            self.able.discard((min(one, other), max(one, other)))
            self._beside[other].discard(one)


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Yield uniform numbers in 0..1, drawn in blocks."""
    while True:
        yield from rng.random(4096).tolist()
