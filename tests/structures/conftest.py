from collections import Counter

import numpy as np
import pytest
from scipy.spatial import cKDTree

#: Longest bonds in nm by the number of silicon atoms in them.
LONGEST_NM = np.array([0.175, 0.210, 0.250])


def _bonds(atoms):
    points, silicon = atoms.positions[:, 1::-1] / 10, atoms.numbers == 14
    pairs = cKDTree(points).query_pairs(LONGEST_NM.max(), output_type="ndarray")
    length = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T)
    near = length <= LONGEST_NM[silicon[pairs].sum(axis=1)]
    return points, pairs[near], length[near]


@pytest.fixture
def bonds():
    """Function: atoms -> points (N, 2) as (y, x) in nm, bonds (E, 2), lengths (E,) in nm."""
    return _bonds


@pytest.fixture
def rings():
    """Function: atoms, size -> count of the rings by size whose middle lies in the square field, and their middles."""

    def found(atoms, size_nm):
        points, pairs, _ = _bonds(atoms)
        around = [[] for _ in points]
        for a, b in pairs:
            around[a].append(b)
            around[b].append(a)
        for a, near in enumerate(around):
            near.sort(key=lambda b, a=a: np.arctan2(*(points[b] - points[a])))
        seen, sizes, middles = set(), Counter(), []
        for start in [*map(tuple, pairs), *map(tuple, pairs[:, ::-1])]:
            walk, step = [], start
            while step not in seen:
                seen.add(step)
                walk.append(step[1])
                a, b = step
                step = (b, around[b][(around[b].index(a) + 1) % len(around[b])])
            middle = points[walk].mean(axis=0) if walk else np.full(2, -1.0)
            if 2 < len(walk) < 40 and (middle > 0).all() and (middle < size_nm).all():
                sizes[len(walk)] += 1
                middles.append((len(walk), *middle))
        return sizes, np.array(middles)

    return found
