"""Names of defects by a graph network over atoms and by the rules of `defect-library`.

``python -m benchmarks.atom_graphs FOLDER``: atoms as the recipe finds them in simulated images, and the network that
learns from them, are kept in FOLDER; both then name defects in fields of the recipe's checks (decision record 0009).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.atom_fields import taught_fields, test_fields
from benchmarks.atom_net import SIZE_NM, Array, AtomNet, Field, by_graph, learned
from micrograph.features.layers.defects import name_defects
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours, without_triangles
from micrograph.infer import load_predictor
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.metrics import match

#: By distortion, how many of a check's seven fields a name are judged.
TESTS = {0.02: 3, 0.04: 1}


def judged(field: Field, names: Array, places: Array) -> list[bool]:
    """Return which of the defects that are judged have their name, as the recipe's check counts."""
    pairs = match(*field["true_nm"].T, *places.T, 0.15)
    called = dict(zip(pairs.true.tolist(), names[pairs.found].tolist(), strict=True))
    border = np.minimum(field["true_nm"], SIZE_NM - 0.02 - field["true_nm"]).min(axis=1)
    return [called.get(row) == field["true"][row] for row in np.flatnonzero(border >= 0.6).tolist()]


def compared(fields: list[Field], ways: Mapping[str, Callable[[Field], tuple[Array, Array]]]) -> None:
    """Print of every way its share of right names, its gain on the rules (paired), and its time an atom."""
    right: dict[str, list[list[bool]]] = {}
    for way, names in ways.items():
        begin = time.perf_counter()
        answers = [names(field) for field in fields]
        spent = (time.perf_counter() - begin) / sum(len(field["atoms"]) for field in fields)
        right[way] = [judged(field, *answer) for field, answer in zip(fields, answers, strict=True)]
        rng = np.random.default_rng(0)
        share = share_interval([sum(each) for each in right[way]], [len(each) for each in right[way]], rng)
        pairs = [np.subtract(a, b, dtype=float) for a, b in zip(right[way], right["rules"], strict=True)]
        gain = bootstrap(lambda drawn: float(np.concatenate(drawn).mean()), pairs, rng)
        named, said = sum(map(sum, right[way])), "{:+.3f} [{:+.3f}, {:+.3f}]"
        print(f"  {way:26} {named} right, share {said.format(*share)}, gain {said.format(*gain)}", end="")
        print(f", {1e6 * spent:.1f} us an atom", flush=True)


def by_rules(field: Field) -> tuple[Array, Array]:
    """Return names and places by the rules alone, from the atoms on."""
    inputs, place = field["inputs"], field["straight"]
    label = np.where(inputs[:, 1] > 0, "Si", "C")
    graph = neighbours(*place.T, CUTOFFS_NM, label, sigma_nm=inputs[:, 5] * 0.01 / np.sqrt(2))
    defects = name_defects(*place.T, label, without_triangles(graph, label == "C"))
    return defects.name, np.column_stack([defects.y_nm, defects.x_nm])


def main() -> None:
    """Make or read fields and networks, and compare."""
    folder, predict = Path(sys.argv[1]), load_predictor("graphene-1")
    taught = taught_fields(folder, predict)
    if not (folder / "graph.pt").exists():
        torch.save(learned(taught, 800).state_dict(), folder / "graph.pt")
    net = AtomNet().eval()
    net.load_state_dict(torch.load(folder / "graph.pt", weights_only=True))
    ways = {
        "rules": lambda field: (field["rules"], field["rules_nm"]),
        "rules on the atoms alone": by_rules,
        "graph network": lambda field: by_graph(net, field),
    }
    by_graph(net, taught[0])  # the first call is slower
    for affine, count in TESTS.items():
        print(f"{100 * affine:g} % scan distortion")
        compared(test_fields(affine, count, folder, predict), ways)


if __name__ == "__main__":
    main()
