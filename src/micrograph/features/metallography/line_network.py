"""Lines out of the branches of a skeleton: what goes straight on through a crossing is one line.

Two bands that cross share a piece of skeleton (a bridge): it belongs to both and counts twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.metallography.skeletons import Branch, Skeleton

Array = NDArray[np.float64]

#: A bridge is at most so many half widths long.
_BRIDGE = 7.0
#: Least cosine between two arms that are one line, straight on: turns up to 40 degrees.
_STRAIGHT = 0.75
#: An arm of a node: number of its branch, and which end of the branch lies there.
Arm = tuple[int, int]


@dataclass(frozen=True)
class Line:
    """A line: points_px (K, 2), length, free: number of its ends that lie free, closed: whether it is a loop."""

    points_px: Array
    length_px: float
    half_width_px: float
    score: float
    free: int
    closed: bool = False


@dataclass(frozen=True)
class Network:
    """All lines of one frame, the places where lines cross (N, 2), and where three or more meet (M, 2)."""

    lines: tuple[Line, ...]
    crossings_px: Array
    nodes_px: Array


def network_of(skeleton: Skeleton) -> Network:
    """Return the lines of a skeleton, with its crossings and nodes."""
    branches, nodes = skeleton.branches, skeleton.nodes_px
    arms: dict[int, list[Arm]] = {}
    for number, branch in enumerate(branches):
        for end, node in enumerate(branch.nodes):
            if node >= 0:
                arms.setdefault(node, []).append((number, end))
    bridges = {number for number, branch in enumerate(branches) if _is_bridge(number, branch, arms, branches)}
    links: dict[Arm, Arm] = {}
    crossings: list[Array] = []
    done: set[int] = set()
    used: set[int] = set()
    for number in sorted(bridges):
        first, second = branches[number].nodes
        if first in done or second in done:
            continue
        outer = [arm for node in (first, second) for arm in arms[node] if arm[0] != number]
        found = _paired(outer, branches)
        if len(found) == 2 and all(branches[a[0]].nodes[a[1]] != branches[b[0]].nodes[b[1]] for a, b in found):
            done |= {first, second}
            used.add(number)
            crossings.append(branches[number].points_px.mean(axis=0))
            for a, b in found:
                links[a], links[b] = b, a
    meeting: list[Array] = []
    for node, ends in arms.items():
        if node in done:
            continue
        found = _paired(ends, branches)
        for a, b in found:
            links[a], links[b] = b, a
        (crossings if len(found) >= 2 else meeting).append(nodes[node])
    lines = _chained(branches, links, used)
    return Network(tuple(lines), np.array(crossings).reshape(-1, 2), np.array(meeting).reshape(-1, 2))


def _is_bridge(number: int, branch: Branch, arms: dict[int, list[Arm]], branches: tuple[Branch, ...]) -> bool:
    """Return whether a branch is short and joins two nodes of three arms each."""
    first, second = branch.nodes
    if min(first, second) < 0 or first == second:
        return False
    wide = max(branches[arm[0]].half_width_px for node in (first, second) for arm in arms[node])
    return len(arms[first]) == len(arms[second]) == 3 and branch.length_px <= _BRIDGE * wide


def _paired(arms: list[Arm], branches: tuple[Branch, ...]) -> list[tuple[Arm, Arm]]:
    """Return the pairs of arms that go straight on, the straightest first; an arm is in one pair at most."""
    headings = [branches[number].heading(end) for number, end in arms]
    straight = sorted(
        (float(headings[i] @ headings[j]), i, j)
        for i in range(len(arms))
        for j in range(i + 1, len(arms))
        if arms[i][0] != arms[j][0]
    )
    found, taken = [], set()
    for cosine, i, j in straight:
        if cosine <= -_STRAIGHT and i not in taken and j not in taken:
            found.append((arms[i], arms[j]))
            taken |= {i, j}
    return found


def _chained(branches: tuple[Branch, ...], links: dict[Arm, Arm], bridges: set[int]) -> list[Line]:
    """Return the lines that branches make where they are linked end to end."""
    left = set(range(len(branches))) - bridges
    lines = []
    while left:
        start = min(left)
        arm = (start, 0)
        seen = {start}
        while arm in links and links[arm][0] not in seen:  # back to where the line begins
            number, end = links[arm]
            seen.add(number)
            arm = (number, 1 - end)
        closed = arm in links
        lines.append(_walked(branches, links, arm, closed, left))
    return lines


def _walked(branches: tuple[Branch, ...], links: dict[Arm, Arm], arm: Arm, closed: bool, left: set[int]) -> Line:
    """Return the line that begins with an arm, and strike its branches off those `left`."""
    pieces, parts = [], []
    first = branches[arm[0]].nodes[arm[1]]
    while arm[0] in left:
        left.discard(arm[0])
        branch = branches[arm[0]]
        pieces.append(branch.points_px if arm[1] == 0 else branch.points_px[::-1])
        parts.append(branch)
        out = (arm[0], 1 - arm[1])
        last = branch.nodes[out[1]]
        if out not in links:
            break
        arm = links[out]
    points = np.concatenate(pieces)
    if closed:
        points = np.concatenate([points, points[:1]])
    weights = [max(part.length_px, 1e-6) for part in parts]
    free = 0 if closed else (first == -1) + (last == -1)
    return Line(
        points,
        float(np.hypot(*np.diff(points, axis=0).T).sum()),
        float(np.average([part.half_width_px for part in parts], weights=weights)),
        float(np.average([part.score for part in parts], weights=weights)),
        int(free),
        closed or first == -2,
    )
