"""A small graph network over atoms: which of them belong to a defect of graphene, and to which (decision record 0009).

It sees distances in units of the usual bond, angular moments, and what the recipe measured of every atom; so neither
turning, mirroring nor magnifying a field changes its answer. An atom's answer depends on atoms up to 1 nm away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from micrograph.validate.layers.library_checks import NAMES

Array = NDArray[Any]
#: What is known of a field, by name; see `benchmarks.atom_graphs.found`.
Field = dict[str, Array]
#: Atoms of a defect lie within DISC_NM of its middle; edges reach CUT bonds; ORDERS of the moments of their angles.
DISC_NM, CUT, ORDERS, WIDTH = 0.3, 2.4, (1, 2, 3), 24
#: Side and pixel of the fields.
SIZE_NM, PIXEL_NM = 6.0, 0.02


class Round(nn.Module):
    """Messages over edges: sums of neighbours weighed by distance, and the sizes of their angular moments.

    Sizes of moments do not change when the atoms are turned or mirrored, and know the angles between neighbours.
    """

    def __init__(self, basis: int) -> None:
        super().__init__()
        parts = 1 + len(ORDERS)
        self.radial = nn.Sequential(nn.Linear(basis, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH * parts))
        self.lin = nn.Linear(WIDTH, WIDTH, bias=False)
        wide = WIDTH * (parts + 1)
        self.up = nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, 2 * WIDTH), nn.SiLU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, h: Tensor, edges: Tensor, basis: Tensor, turn: Tensor, fade: Tensor) -> Tensor:
        """Return new features (N, W) of atoms; turn: (E, 1 + K, 2) cosines and sines of the edges' angles."""
        message = self.radial(basis).view(len(fade), -1, WIDTH) * (fade * self.lin(h)[edges[1]])[:, None]
        moments = [
            h.new_zeros(len(h), *message.shape[1:]).index_add_(0, edges[0], message * turn[..., k, None])
            for k in (0, 1)
        ]
        size = torch.sqrt(moments[0][:, 1:] ** 2 + moments[1][:, 1:] ** 2 + 1e-6)
        return h + self.up(torch.cat([h, moments[0][:, 0], size.flatten(1)], dim=1))


class AtomNet(nn.Module):
    """Inputs (N, 6) of atoms, edges (2, E), their steps (E, 2) in bonds to scores (N, 11): no defect, or its name."""

    def __init__(self, basis: int = 12, rounds: int = 3) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Linear(6, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.rounds = nn.ModuleList([Round(basis) for _ in range(rounds)])
        self.out = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1 + len(NAMES))
        )
        self.register_buffer("centres", torch.linspace(0.2, CUT, basis))

    def forward(self, inputs: Tensor, edges: Tensor, step: Tensor) -> Tensor:
        """Return the scores of all atoms."""
        length = step.norm(dim=1)
        basis = torch.exp(-(((length[:, None] - self.centres) / (self.centres[1] - self.centres[0])) ** 2))
        fade = 0.5 * (1 + torch.cos(torch.pi * length / CUT))[:, None]
        angle = torch.atan2(step[:, 0], step[:, 1])[:, None] * torch.tensor((0, *ORDERS))
        turn = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
        h = self.start(inputs)
        for each in self.rounds:
            h = each(h, edges, basis, turn, fade)
        return self.out(h)


def edges_of(field: Field) -> tuple[Array, float]:
    """Return the edges (2, E) of a field, both ways, and its usual bond (nm)."""
    bond = float(np.median(cKDTree(field["straight"]).query(field["straight"], k=4)[0][:, 1:]))
    pairs = cKDTree(field["straight"]).query_pairs(CUT * bond, output_type="ndarray")
    return np.concatenate([pairs, pairs[:, ::-1]]).T, bond


def labels(field: Field) -> tuple[Array, Array]:
    """Return the true class (N,) of the atoms, and which of them are asked: neither at the rim of a defect nor of the
    field.
    """
    away = np.hypot(*(field["atoms"][:, None] - field["true_nm"]).transpose(2, 0, 1)).min(axis=1)
    border = np.minimum(field["atoms"], SIZE_NM - field["atoms"]).min(axis=1)
    label = np.where(away < DISC_NM, 1 + NAMES.index(str(field["true"][0])), 0)
    return label, (border > 0.15) & (np.abs(away - DISC_NM) > 0.03)


def patch(field: Field, edges: Array, bond: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Return inputs, edges, steps, true classes (N,) and weights (N,) of the atoms around one defect of a field."""
    middle = field["true_nm"][rng.integers(len(field["true_nm"]))] + rng.uniform(-0.35, 0.35, 2)
    away = np.hypot(*(field["atoms"] - middle).T)
    keep = (away < 1.15) & (rng.random(len(away)) > rng.choice([0, 0, 0.004]))
    edges = (np.cumsum(keep) - 1)[edges[:, keep[edges].all(axis=0)]]
    place = field["straight"][keep] + rng.normal(0, rng.uniform(0, 0.003), (keep.sum(), 2))
    label, clear = (each[keep] for each in labels(field))
    weight = np.where(label > 0, 1.0, 0.25) * ((away[keep] < 0.75) & clear)
    step = (place[edges[1]] - place[edges[0]]) / bond
    return tuple(map(torch.tensor, (field["inputs"][keep], edges, step.astype(np.float32), label, weight)))


def learned(fields: list[Field], steps: int) -> AtomNet:
    """Return a network that has learned from the fields, eight patches of different names a step."""
    torch.manual_seed(0)
    rng, net = np.random.default_rng(0), AtomNet()
    of_name = [[(field, *edges_of(field)) for field in fields if field["true"][0] == name] for name in NAMES]
    optimiser = torch.optim.AdamW(net.parameters(), 4e-3, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.05)
    for _ in range(steps):
        some = [of_name[kind] for kind in rng.permutation(len(NAMES))[:8]]
        patches = [patch(*each[rng.integers(len(each))], rng) for each in some]
        first = np.cumsum([0, *(len(each[0]) for each in patches)])
        inputs, edges, step, label, weight = zip(*patches, strict=True)
        joined = torch.cat([each + int(at) for each, at in zip(edges, first, strict=False)], dim=1)
        scores = net(torch.cat(inputs), joined, torch.cat(step))
        loss = functional.cross_entropy(scores, torch.cat(label), reduction="none") @ torch.cat(weight).float()
        optimiser.zero_grad()
        (loss / torch.cat(weight).sum()).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        rate.step()
    return net.eval()


@torch.no_grad()
def probabilities(net: AtomNet, field: Field) -> Array:
    """Return the probabilities (N, 11) that the network gives to every atom."""
    edges, bond = edges_of(field)
    step = (field["straight"][edges[1]] - field["straight"][edges[0]]) / bond
    tensors = (torch.tensor(each) for each in (field["inputs"], edges, step.astype(np.float32)))
    return torch.softmax(net(*tensors), dim=1).numpy()


def groups(field: Field, p: Array) -> tuple[Array, Array, Array]:
    """Return names, places (nm) and sureness 0..1 of the groups of atoms next to one another that are rather in a
    defect than not: a cluster is where its silicon is, and an answer is as sure as its share of all names.
    """
    edges, bond = edges_of(field)
    inside = p[:, 0] < 0.5
    length = np.hypot(*(field["straight"][edges[1]] - field["straight"][edges[0]]).T)
    joined = edges[:, inside[edges].all(axis=0) & (length < 1.45 * bond)]
    links = csr_array((np.ones(joined.shape[1]), tuple(joined)), shape=(len(p), len(p)))
    group = connected_components(links, directed=False)[1]
    rows = [rows for each in np.unique(group[inside]) if len(rows := np.flatnonzero(inside & (group == each))) > 2]
    weight = np.array([p[each, 1:].sum(axis=0) for each in rows]).reshape(-1, len(NAMES))
    silicon = [each[field["inputs"][each, 1] > 0] for each in rows]
    places = [field["atoms"][si if len(si) else each].mean(axis=0) for si, each in zip(silicon, rows, strict=True)]
    sure = weight.max(axis=1, initial=0) / weight.sum(axis=1)
    return np.array(NAMES)[weight.argmax(axis=1)], np.array(places).reshape(-1, 2), sure


def by_graph(net: AtomNet, field: Field) -> tuple[Array, Array]:
    """Return names and places (nm) of the defects by the network."""
    return groups(field, probabilities(net, field))[:2]
