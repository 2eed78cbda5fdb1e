"""Names of defects by a graph network over atoms, by an encoder of image crops and by the rules of `defect-library`.

``python -m benchmarks.atom_graphs FOLDER [LIBRARY]``: atoms as the recipe finds them in simulated images, and networks
that learn from them, are kept in FOLDER; all then name defects in fields of a new seed, in fields of what they were not
taught, and in the real crops of LIBRARY (as for `benchmarks.real`), see decision record 0009.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.atom_crops import SPEC, by_crops, by_few_crops, learned_crops
from benchmarks.atom_fields import STRANGE, atoms_in, kept, strange_field, taught_fields, test_field
from benchmarks.atom_net import SIZE_NM, Array, AtomNet, Field, by_graph, groups, learned, probabilities
from benchmarks.real import crop
from micrograph.features.layers.defects import name_defects
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours, without_triangles
from micrograph.infer import load_predictor
from micrograph.nets.encoder import Encoder
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.layers.library_checks import NAMES
from micrograph.validate.metrics import match

Way = Callable[[Field], tuple[Array, Array]]
#: Fields of each name, by scan distortion, and of each strange kind.
OF_NAME, OF_STRANGE = {0.0: 3, 0.02: 5, 0.04: 3}, 6
#: A name counts within this distance (nm), and not closer than this to the border.
RADIUS_NM, INSET_NM = 0.15, 0.6
#: Two answers this near (nm) are about one defect.
ABOUT_NM = 0.3
#: Rules' names of what is not one defect.
CUT = ("edge", "hole", "boundary")


def by_rules(field: Field) -> tuple[Array, Array]:
    """Return names and places by the rules alone, from the atoms on."""
    inputs, place = field["inputs"], field["straight"]
    label = np.where(inputs[:, 1] > 0, "Si", "C")
    graph = neighbours(*place.T, CUTOFFS_NM, label, sigma_nm=inputs[:, 5] * 0.01 / np.sqrt(2))
    defects = name_defects(*place.T, label, without_triangles(graph, label == "C"))
    return defects.name, np.column_stack([defects.y_nm, defects.x_nm])


def by_few_atoms(net: AtomNet, field: Field) -> tuple[Array, Array]:
    """Return names and places by the network, which sees only the atoms around what the rules found."""
    away = np.hypot(*(field["atoms"][:, None] - field["rules_nm"]).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
    if (away < 1.3).sum() < 4:
        return field["rules"][:0], field["rules_nm"][:0]
    names, places = by_graph(net, field | {key: field[key][away < 1.3] for key in ("atoms", "straight", "inputs")})
    near = np.hypot(*(places[:, None] - field["rules_nm"]).transpose(2, 0, 1)).min(axis=1) < ABOUT_NM
    return names[near], places[near]


def by_both(net: AtomNet, least: float, field: Field) -> tuple[Array, Array]:
    """Return the rules' names and places, with those of the network in their stead where it is at least so sure."""
    names, places, sure = groups(field, probabilities(net, field))
    near = np.hypot(*(field["rules_nm"][:, None] - places).transpose(2, 0, 1)) < ABOUT_NM
    speaks = (sure >= least) & ~(near & np.isin(field["rules"], CUT)[:, None]).any(axis=0)
    left = ~near[:, speaks].any(axis=1)
    return (
        np.concatenate([field["rules"][left], names[speaks]]),
        np.concatenate([field["rules_nm"][left], places[speaks]]),
    )


def least_sure(net: AtomNet, taught: list[Field]) -> float:
    """Return how sure 19 of 20 right answers are in the fields that the network learned from."""
    right = []
    for field in taught:
        names, places, sure = groups(field, probabilities(net, field))
        right += sure[inner(places) & (names == field["true"][0])].tolist()
    return float(np.quantile(right, 0.05))


def inner(places: Array) -> Array:
    """Return which places lie far enough from the border, (N,)."""
    return np.minimum(places, SIZE_NM - 0.02 - places).min(axis=1, initial=np.inf) >= INSET_NM


def judged(field: Field, names: Array, places: Array) -> list[bool]:
    """Return which of the defects that are judged have their name, as the recipe's check counts."""
    pairs = match(*field["true_nm"].T, *places.T, RADIUS_NM)
    called = dict(zip(pairs.true.tolist(), names[pairs.found].tolist(), strict=True))
    return [called.get(row) == field["true"][row] for row in np.flatnonzero(inner(field["true_nm"])).tolist()]


def wrong(field: Field, names: Array, places: Array) -> int:
    """Return how many answers name a defect where there is none of the taught ones; 5-7 may be in a boundary."""
    away = np.hypot(*(places[:, None] - field["true_nm"]).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
    said = np.isin(names, NAMES) if len(field["true"]) else np.isin(names, NAMES[:-1])
    return int((said & inner(places) & (away > ABOUT_NM)).sum())


def compared(fields: list[Field], ways: Mapping[str, Way]) -> None:
    """Print of every way its share of right names, its gain on the rules (paired), false ones, and its time."""
    right: dict[str, list[list[bool]]] = {}
    for way, names in ways.items():
        begin = time.process_time()
        answers = [names(field) for field in fields]
        spent = (time.process_time() - begin) / sum(len(field["true"]) for field in fields)
        right[way] = [judged(field, *answer) for field, answer in zip(fields, answers, strict=True)]
        false = sum(wrong(field, *answer) for field, answer in zip(fields, answers, strict=True))
        rng = np.random.default_rng(0)
        share = share_interval([sum(each) for each in right[way]], [len(each) for each in right[way]], rng)
        pairs = [np.subtract(a, b, dtype=float) for a, b in zip(right[way], right["rules"], strict=True)]
        gain = bootstrap(lambda drawn: float(np.concatenate(drawn).mean()), pairs, rng)
        named, said = f"{sum(map(sum, right[way]))} of {sum(map(len, right[way]))}", "{:+.3f} [{:+.3f}, {:+.3f}]"
        print(f"  {way:28} {named}, share {said.format(*share)}, gain {said.format(*gain)}", end="")
        missed = Counter(
            str(name)
            for field, ok in zip(fields, right[way], strict=True)
            for name in field["true"][inner(field["true_nm"])][~np.array(ok, dtype=bool)]
        )
        print(f", {false} false, {1e3 * spent:.2f} ms a defect; missed {dict(missed)}", flush=True)


def strange(fields: list[Field], ways: Mapping[str, Way]) -> None:
    """Print of every way the names that are wrong in fields of what was not taught."""
    for way, names in ways.items():
        said = [names(field) for field in fields]
        false = sum(wrong(field, *each) for field, each in zip(fields, said, strict=True))
        inside = Counter(name for which, places in said for name in which[inner(places)].tolist())
        print(f"  {way:28} {false} wrong; said {dict(inside.most_common(12))}", flush=True)


def real(library: Path, folder: Path, predict: Any, ways: Mapping[str, Way]) -> None:
    """Print of every way how many real crops have the folder's name where it is stored."""
    files = sorted(library.glob("*/*.hdf5"))
    right = dict.fromkeys(ways, 0)
    for path in files:
        frame, at = crop(path)
        made = partial(atoms_in, frame, predict)
        field, called = kept(folder / f"real-{path.parent.name}-{path.stem}.npz", made), {}
        for way, names in ways.items():
            which, places = names(field)
            called[way] = ", ".join(which[np.hypot(*(places - at).T) < RADIUS_NM].tolist()) or "-"
            right[way] += path.parent.name in called[way].split(", ")
        if set(called.values()) != {path.parent.name}:
            print(f"  {path.parent.name}/{path.name}: {called}")
    print(f"  of {len(files)} crops: {right}", flush=True)


def networks(folder: Path, predict: Any) -> tuple[AtomNet, Encoder]:
    """Return the graph network and the encoder of crops; taught where FOLDER lacks them."""
    graph, encoder = AtomNet().eval(), Encoder(SPEC).eval()
    for net, file, teach in (
        (graph, folder / "graph.pt", lambda: learned(taught_fields(folder, predict), 800)),
        (encoder, folder / "crops.pt", lambda: learned_crops(taught_fields(folder, predict), 1000)),
    ):
        if not file.exists():
            begin = time.process_time()
            torch.save(teach().state_dict(), file)
            print(f"{file.name} taught in {time.process_time() - begin:.0f} s", flush=True)
        net.load_state_dict(torch.load(file, weights_only=True))
        print(f"{file.stem}: {sum(each.numel() for each in net.parameters())} parameters")
    return graph, encoder


def main() -> None:
    """Make or read fields and networks, and compare."""
    torch.set_num_threads(1)
    folder, predict = Path(sys.argv[1]), load_predictor("graphene-1")
    graph, encoder = networks(folder, predict)
    taught = taught_fields(folder, predict)
    least = least_sure(graph, taught)
    print(f"the graph network is called sure from {least:.2f}")
    ways: dict[str, Way] = {
        "rules": lambda field: (field["rules"], field["rules_nm"]),
        "rules on the atoms alone": by_rules,
        "graph network": partial(by_graph, graph),
        "graph, what the rules found": partial(by_few_atoms, graph),
        "rules, graph where sure": partial(by_both, graph, least),
        "crops of all atoms": partial(by_crops, encoder),
        "crops, what the rules found": partial(by_few_crops, encoder),
    }
    for way in ways.values():
        way(taught[0])  # the first call is slower
    for affine, count in OF_NAME.items():
        print(f"{100 * affine:g} % scan distortion")
        fields = [test_field(affine, name, k, folder, predict) for k in range(count) for name in NAMES]
        compared(fields, ways)
    for kind in STRANGE:
        print(f"not taught: {kind}")
        fields = [strange_field(kind, k, folder, predict) for k in range(OF_STRANGE)]
        (compared if kind == "several kinds" else strange)(fields, ways)
    for library in sys.argv[2:]:
        print("real crops")
        real(Path(library), folder, predict, ways)


if __name__ == "__main__":
    main()
