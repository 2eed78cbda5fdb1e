"""Particles that join into chains by a rate law, and where they lie meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.intp]
#: Largest bend (degrees) where two chains meet.
_BEND_DEG = 30.0
#: Bends and ends that are tried to find room.
_TRIES = 12


def bond_times(count: int, rate: float, order: int, rng: np.random.Generator, until_s: float = np.inf) -> Array:
    """Return the times (s) of the bonds by which `count` objects become one, those before `until_s`.

    Gillespie's exact process: with n objects left (single particles or chains) the next bond comes at the rate ``rate *
    n`` per second (order 1) or ``rate * n**2`` (order 2).
    """
    if order not in (1, 2) or not rate > 0:
        raise BadInput(f"Order {order} with rate {rate}: the order is 1 or 2 and the rate is positive.")
    left = np.arange(count, 1, -1).astype(float)
    times: Array = np.cumsum(rng.exponential(1 / (rate * left**order)))
    return times[times < until_s]


@dataclass(frozen=True)
class Assembly:
    """Chains that grow.

    t_s (B,): times of the bonds; pairs (B, 2): the particles that bond; places_nm (B + 1, N, 2) and turns_deg
    (B + 1, N): where particles lie and how they are turned before the first bond and after each; moved (B, N): which
    come along at each bond; approach_s: for so long before its bond a chain moves to its place.
    """

    t_s: Array
    pairs: Index
    places_nm: Array
    turns_deg: Array
    moved: NDArray[np.bool_]
    approach_s: float

    def at(self, t_s: float) -> tuple[Array, Array]:
        """Return places (N, 2; nm) and turns (N; degrees counter-clockwise as seen) at a time."""
        place, turn = self.places_nm[0].copy(), self.turns_deg[0].copy()
        for event, when in enumerate(self.t_s):
            share = np.clip((t_s - when) / self.approach_s + 1, 0, 1) if self.approach_s > 0 else float(t_s >= when)
            if share <= 0:
                continue
            share = share**2 * (3 - 2 * share)
            rows = self.moved[event]
            swing = share * (self.turns_deg[event + 1][rows][0] - self.turns_deg[event][rows][0])
            before, after = self.places_nm[event][rows], self.places_nm[event + 1][rows]
            middle = before.mean(axis=0)
            now = middle + share * (after.mean(axis=0) - middle)
            place[rows] = now + _swung(before - middle, swing)
            turn[rows] = self.turns_deg[event][rows] + swing
        return place, turn

    def chains(self, t_s: float) -> Index:
        """Return the chain (N,) to which each particle belongs at a time: the lowest number among its particles."""
        chain = np.arange(self.places_nm.shape[1])
        for a, b in self.pairs[self.t_s <= t_s]:
            chain[np.isin(chain, chain[[a, b]])] = min(chain[a], chain[b])
        return chain


def assemble(
    start_nm: Array,
    contact_nm: float,
    times_s: Array,
    rng: np.random.Generator,
    approach_s: float = 0.0,
    box_nm: tuple[float, float] = (np.inf, np.inf),
) -> Assembly:
    """Return chains of particles that begin at `start_nm` (N, 2): each time the nearest free ends of two chains join.

    The shorter chain moves, as a whole, so that its end lies `contact_nm` beyond the other's, in line but for a bend.
    One chain of each pair is drawn at random. Of some bends the one is taken that keeps away from other particles and
    from beyond the box (height, width).
    """
    count = len(start_nm)
    chains = [[one] for one in range(count)]
    places, turns = [np.asarray(start_nm, dtype=float)], [rng.uniform(0, 360, count)]
    moved, pairs = [], []
    for _ in times_s[: count - 1]:
        place, turn = places[-1].copy(), turns[-1].copy()
        fixed, coming = _partners(chains, place, rng)
        target, swing = _docked(fixed, coming, place, (contact_nm, turn, np.array(box_nm)), rng)
        place[coming] = target
        turn[coming] += swing
        pairs.append((fixed[-1], coming[0]))
        moved.append(np.isin(np.arange(count), coming))
        chains = [chain for chain in chains if chain[0] not in fixed + coming] + [fixed + coming]
        places.append(place)
        turns.append(turn)
    return Assembly(
        np.asarray(times_s[: count - 1], dtype=float),
        np.array(pairs, dtype=np.intp).reshape(-1, 2),
        np.array(places),
        np.array(turns),
        np.array(moved, dtype=bool).reshape(-1, count),
        approach_s,
    )


def _partners(chains: list[list[int]], place: Array, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Return a chain that stays and one that comes, both in order: the last of the one meets the first of the other."""
    one = chains[int(rng.integers(len(chains)))]
    others = [chain for chain in chains if chain is not one]
    _, other, own_end, other_end = min(
        (float(np.linalg.norm(place[a] - place[b])), index, a, b)
        for index, chain in enumerate(others)
        for a in {one[0], one[-1]}
        for b in {chain[0], chain[-1]}
    )
    first = one if one[-1] == own_end else one[::-1]
    second = others[other] if others[other][0] == other_end else others[other][::-1]
    return (first, second) if len(first) >= len(second) else (second[::-1], first[::-1])


def _docked(
    fixed: list[int], coming: list[int], place: Array, contact: tuple[float, Array, Array], rng: np.random.Generator
) -> tuple[Array, float]:
    """Return where the coming chain lies after it has met the fixed one, and by how much it swung (degrees)."""
    (length, turn, box), end = contact, place[fixed[-1]]
    facing, own_turn = float(turn[fixed[-1]]), float(turn[coming[0]])
    rest = np.setdiff1d(np.arange(len(place)), [*fixed, *coming])
    rest = np.concatenate([rest, fixed[:-1]]).astype(int)
    towards = _angle(place[coming[0]] - end)
    along = _angle(end - place[fixed[-2]]) if len(fixed) > 1 else facing + 90 * round((towards - facing) / 90)
    own = _angle(place[coming[-1]] - place[coming[0]]) if len(coming) > 1 else None
    best: tuple[float, Array, float] | None = None
    for bend in np.linspace(0, 1, _TRIES) * rng.choice([-1, 1], _TRIES) * _BEND_DEG:
        way = along + bend * (0.4 if best is None else 1.0)
        swing = (way - own + 180) % 360 - 180 if own is not None else _quarter(way - own_turn)
        first = end + length * _unit(way)
        target = first + _swung(place[coming] - place[coming[0]], swing)
        room = float(np.linalg.norm(target[:, None] - place[rest][None], axis=2).min()) if len(rest) else np.inf
        outside = float(np.maximum(length / 2 - np.minimum(target, box - target), 0).max())
        room -= 2 * outside
        if best is None or room > best[0]:
            best = (room, target, swing)
        if room >= length:
            break
    assert best is not None
    return best[1], best[2]


def _quarter(angle_deg: float) -> float:
    """Return the smallest turn that brings a square side along a direction `angle_deg` away."""
    return (angle_deg + 45) % 90 - 45


def _angle(vector: Array) -> float:
    """Return the direction (degrees, counter-clockwise as seen) of a vector (y down, x)."""
    return float(np.rad2deg(np.arctan2(-vector[0], vector[1])))


def _unit(angle_deg: float) -> Array:
    return np.array([-np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))])


def _swung(points: Array, angle_deg: float) -> Array:
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], axis=1)
