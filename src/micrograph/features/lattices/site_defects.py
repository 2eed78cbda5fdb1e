"""Defects of a crystal whose sites are known: what is there compared with what belongs there."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import ArrayLike

from micrograph.core import BadInput, Flag
from micrograph.features.columns.covariance import points
from micrograph.features.layers.defects import Defects


def site_name(label: str, host: str) -> str | None:
    """Return the name of the defect if a site of `host` holds `label`, ``None`` if it holds what belongs there.

    Labels are columns such as 'W', 'Se2', 'Se1', 'Se0', 'SSe', 'vac_W'. Atoms that are missing make a vacancy
    ('vac_Se', 'vac_Se2'); atoms that replace others a substitution ('V_W', 'S_Se').

    >>> site_name("Se1", "Se2"), site_name("V", "W"), site_name("Se2", "Se2")
    ('vac_Se', 'V_W', None)
    """
    found, due = _composition(label), _composition(host)
    extra, lacking = _formula(found - due), _formula(due - found)
    if not extra and not lacking:
        return None
    return f"{extra}_{lacking or host}" if extra else f"vac_{lacking}"


def site_defects(
    y_nm: ArrayLike, x_nm: ArrayLike, labels: ArrayLike, hosts: ArrayLike, label_p: ArrayLike | None = None
) -> Defects:
    """Return one defect a site whose label differs from its host's.

    y_nm, x_nm: (N,) sites, empty ones included; labels: (N,) what each holds; hosts: (N,) what it holds in the perfect
    crystal; label_p: (N,) probability of the label, the score. Raises `BadInput` for other lengths.
    """
    position = points(y_nm, x_nm)
    label, host = np.asarray(labels, dtype=np.str_), np.asarray(hosts, dtype=np.str_)
    score = np.ones(len(position)) if label_p is None else np.asarray(label_p, dtype=np.float64)
    if not len(label) == len(host) == len(score) == len(position):
        raise BadInput(
            f"{len(position)} sites, {len(label)} labels, {len(host)} hosts, {len(score)} label_p: give one each."
        )
    kinds, kind = np.unique(np.stack([label, host], axis=1), axis=0, return_inverse=True)
    names = [site_name(str(pair[0]), str(pair[1])) for pair in kinds]
    rows = np.flatnonzero(np.array([name is not None for name in names], dtype=np.bool_)[kind.ravel()])
    return Defects(
        name=np.array([names[k] for k in kind.ravel()[rows]], dtype=np.str_),
        y_nm=position[rows, 0],
        x_nm=position[rows, 1],
        score=score[rows],
        flags=np.full(len(rows), int(Flag.OK), dtype=np.intp),
        atoms=tuple(rows[:, None]),
        ring_sizes=((),) * len(rows),
    )


def _composition(label: str) -> Counter[str]:
    """Return the atoms of a column label; an empty site has none."""
    if label.startswith("vac_"):
        return Counter()
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", label)
    if not parts or "".join(element + count for element, count in parts) != label:
        raise BadInput(f"The label '{label}' is no column of atoms: write it like 'W', 'Se2', 'SSe' or 'vac_W'.")
    total: Counter[str] = Counter()
    for element, count in parts:
        total[element] += int(count or 1)
    return total


def _formula(atoms: Counter[str]) -> str:
    return "".join(f"{element}{count if count > 1 else ''}" for element, count in sorted(atoms.items()) if count > 0)
