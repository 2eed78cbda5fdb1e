"""Columns that take the likeliest number of atoms and place one after the other, given what each would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.infer.column_start import Particle, touching
from micrograph.simulate.phase.column_model import Change

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Count = NDArray[np.intp]

#: 1-sigma of a column's place (y, x) on the net and of its height around the mean of its neighbours' (nm), and of its
#: number of atoms around the mean of theirs.
_MOVED_NM, _LIKE_NEIGHBOURS = np.array([0.008, 0.008, 0.08]), 2.5
#: Share of its neighbours' height that a column is taken to have.
_LEVEL = 0.95


@dataclass(frozen=True)
class Sweep:
    """Columns that take the likeliest number and place one after the other, given a residual."""

    changes: Sequence[Change]
    bases: list[Image]
    grams: list[Array]
    moved: Array
    atoms: Count
    pairs: list[Count]
    variance: float

    @classmethod
    def of(cls, changes: Sequence[Change], state: Particle, variance: float) -> Sweep:
        """Return the columns of the present particle with what each would change."""
        bases = [
            np.concatenate([one.values, one.slopes]).reshape(len(one.numbers) + 3, -1).astype(np.float32)
            for one in changes
        ]
        grams = [np.asarray(base @ base.T, float) for base in bases]
        pairs: list[list[int]] = [[] for _ in changes]
        for a, b in touching(state.index, state.vectors):
            pairs[a].append(int(b))
            pairs[b].append(int(a))
        near = [np.array(one, np.intp) for one in pairs]
        base = state.moved.copy()
        base[:, 2] = state.columns().middle_nm
        return cls(changes, bases, grams, base, state.atoms, near, variance)

    def place_sigma(self) -> Array:
        """Return the 1-sigma (K,) of places along one axis."""
        own = np.array([gram[-3:-1, -3:-1].trace() / 2 for gram in self.grams])
        return np.asarray(1 / np.sqrt(own / self.variance + 1 / _MOVED_NM[0] ** 2))

    def _chosen(self, atoms: Count) -> Count:
        """Return the places (K,) of numbers of atoms among the candidates, the nearest ones."""
        return np.array([int(np.abs(one.numbers - n).argmin()) for one, n in zip(self.changes, atoms, strict=True)])

    def rated(self, residual: Image, atoms: Count, moves: Array) -> list[Array]:
        """Return -2 log posterior of each candidate, the neighbours being as they are; the residual takes them in."""
        chosen, scores = self._chosen(atoms), []
        for row, change in enumerate(self.changes):
            own = np.concatenate([np.eye(len(change.numbers))[chosen[row]], moves[row] - self.moved[row]])
            felt = self.bases[row] @ residual[change.rows, change.columns].ravel() + self.grams[row] @ own
            scores.append(self._scored(row, felt, atoms, moves[:, 2])[0])
        return scores

    def solved(self, residual: Image, sweeps: int, start: Count) -> tuple[Count, Array, list[Array]]:
        """Return numbers (K,), moves (K, 3) and -2 log posterior of each candidate, after `sweeps` over all.

        What is found is taken out of the residual.
        """
        count = len(self.changes)
        moved, chosen = np.zeros((count, 3)), self._chosen(start)
        atoms = np.array([one.numbers[place] for one, place in zip(self.changes, chosen, strict=True)])
        for change, place in zip(self.changes, chosen, strict=True):
            residual[change.rows, change.columns] -= change.values[place]
        scores: list[Array] = [np.zeros(0)] * count
        for _ in range(sweeps):
            before = atoms.copy()
            for row, change in enumerate(self.changes):
                base, gram, m = self.bases[row], self.grams[row], len(change.numbers)
                own = np.zeros(m + 3)
                own[chosen[row]], own[m:] = 1.0, moved[row]
                area = residual[change.rows, change.columns]
                felt = base @ area.ravel() + gram @ own
                scores[row], shifts = self._scored(row, felt, atoms, self.moved[:, 2] + moved[:, 2])
                chosen[row] = int(scores[row].argmin())
                moved[row] = shifts[chosen[row]]
                new = np.zeros(m + 3)
                new[chosen[row]], new[m:] = 1.0, moved[row]
                area -= ((new - own).astype(np.float32) @ base).reshape(area.shape)
                atoms[row] = change.numbers[chosen[row]]
            if (before == atoms).all():
                break
        return atoms, self.moved + moved, scores

    def _scored(self, row: int, felt: Array, atoms: Count, heights: Array) -> tuple[Array, Array]:
        """Return -2 log posterior (M,) of each number with its best move (M, 3)."""
        m, gram, near = len(felt) - 3, self.grams[row], self.pairs[row]
        usual, height = (float(atoms[near].mean()), _LEVEL * float(heights[near].mean())) if len(near) else (1.0, 0.0)
        place = gram[m:, m:] / self.variance + np.diag(_MOVED_NM**-2)
        pulled = (felt[m:] - gram[:m, m:]) / self.variance - (self.moved[row] - (0.0, 0.0, height)) / _MOVED_NM**2
        shifts = np.linalg.solve(place, pulled.T).T
        fit = (-2 * felt[:m] + np.diagonal(gram)[:m]) / self.variance - np.einsum("mi,mi->m", pulled, shifts)
        fit = fit + ((self.changes[row].numbers - usual) / _LIKE_NEIGHBOURS) ** 2
        return fit, shifts
