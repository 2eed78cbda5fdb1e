"""A library of defects in one HDF5 file: crops, atoms with errors, bonds, names, origin; searched by graph or look.

Layout, schema 1. The root has the attributes ``format`` = 'micrograph library', ``schema``, ``created``, ``about``.
Each entry is a group ``entries/00000000``, ``entries/00000001``, ... with the attributes ``name``, ``score``, ``graph``
(hash), ``source``, ``digest``, ``frame``, ``added`` (ISO 8601, UTC), ``versions`` (JSON) and the data sets

    image           (h, w) float32, attributes pixel_nm, y_nm, x_nm (centre of its pixel (0, 0) in the frame)
    atoms/element   (n,) text          atoms/rings   (n,) text, sizes of the rings at the atom, '5-6-6'
    atoms/core      (n,) bool: of the defect itself; the others are bonded to it
    atoms/place_nm, atoms/sigma_nm     (n, 2) float64 [y, x] in the frame, 1-sigma
    bonds/atoms     (e, 2) int64       bonds/length_nm, bonds/sigma_nm   (e,) float64
    look            (k,) float64, see `Fragment.look`

A file is replaced as a whole when entries are added: what was there is never lost.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.core.provenance import versions, whole

if TYPE_CHECKING:
    import h5py

Array = NDArray[np.float64]

FORMAT, SCHEMA = "micrograph library", 1
#: Distances of pairs at which a look is sampled, and the width by which they are smeared, nm.
_LOOK_NM, _SMEAR_NM = np.arange(0.10, 0.52, 0.015), 0.02


@dataclass(frozen=True)
class Fragment:
    """A defect and the atoms bonded to it: n atoms, e bonds.

    element: (n,) symbols; place_nm, sigma_nm: (n, 2) [y, x]; core: (n,) whether the atom is of the defect itself;
    rings: (n,) sizes of the rings at each atom, '5-6-6'; bonds: (e, 2) rows; length_nm, length_sigma_nm: (e,).
    """

    element: tuple[str, ...]
    place_nm: Array
    sigma_nm: Array
    core: NDArray[np.bool_]
    rings: tuple[str, ...]
    bonds: NDArray[np.int64]
    length_nm: Array
    length_sigma_nm: Array

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit one another, and bonds to atoms that are not there."""
        n, e = len(self.element), len(self.bonds)
        shapes = (self.place_nm.shape, self.sigma_nm.shape, self.core.shape, (len(self.rings),), self.bonds.shape)
        if shapes != ((n, 2), (n, 2), (n,), (n,), (e, 2)) or not len(self.length_nm) == len(self.length_sigma_nm) == e:
            raise BadInput(f"A fragment of {n} atoms and {e} bonds has arrays of the shapes {shapes}: they do not fit.")
        if e and not (self.bonds.min() >= 0 and self.bonds.max() < n):
            raise BadInput(f"A bond of a fragment of {n} atoms names an atom that is not there.")

    @property
    def graph(self) -> str:
        """Hash of the graph of the core: the same for the same elements, rings and bonds in any order of atoms.

        Colours of atoms are refined by those of their neighbours (Weisfeiler and Lehman 1968) as often as there are
        atoms in the core.
        """
        rows = np.flatnonzero(self.core)
        near: dict[int, list[int]] = {int(row): [] for row in rows}
        for a, b in self._core_bonds():
            near[a].append(b)
            near[b].append(a)
        colour = {row: f"{self.element[row]}:{self.rings[row]}" for row in near}
        for _ in range(max(len(near) - 1, 0)):
            colour = {row: _short([colour[row], *sorted(colour[other] for other in near[row])]) for row in near}
        return _short(sorted(colour.values()))

    def _core_bonds(self) -> list[tuple[int, int]]:
        inside = self.core[self.bonds].all(axis=1) if len(self.bonds) else np.zeros(0, bool)
        return [(int(a), int(b)) for a, b in self.bonds[inside]]

    def same_graph(self, other: Fragment) -> bool:
        """Return whether the cores are bonded alike: equal hashes, and an isomorphism that keeps elements and rings."""
        import networkx as nx

        if self.graph != other.graph:
            return False
        return bool(nx.is_isomorphic(self._network(), other._network(), node_match=lambda a, b: a == b))

    def _network(self) -> Any:
        import networkx as nx

        found: Any = nx.Graph()
        found.add_nodes_from((int(r), {"is": (self.element[r], self.rings[r])}) for r in np.flatnonzero(self.core))
        found.add_edges_from(self._core_bonds())
        return found

    @property
    def look(self) -> Array:
        """What turning and mirroring leave: smeared histograms of the distances from the core to all atoms.

        (3 k,): pairs of two carbons, of a carbon and another element, of two others; k distances of 0.10 to 0.52 nm.
        """
        core = np.flatnonzero(self.core)
        pairs = np.array([(a, b) for a in core for b in range(len(self.element)) if b not in core or b > a])
        if not len(pairs):
            return np.zeros(3 * len(_LOOK_NM))
        off = self.place_nm[pairs[:, 0]] - self.place_nm[pairs[:, 1]]
        smear = np.exp(-0.5 * ((np.hypot(*off.T)[:, None] - _LOOK_NM) / _SMEAR_NM) ** 2)
        foreign = (np.array(self.element) != "C")[pairs].sum(axis=1)
        return np.concatenate([smear[foreign == kind].sum(axis=0) for kind in range(3)])


def look_distance(one: Array, others: Array) -> Array:
    """Return how unlike looks are, (m,): 0 for equal ones, about 1.4 for two that have nothing in common."""
    norm = np.sqrt((np.linalg.norm(one) ** 2 + np.linalg.norm(others, axis=-1) ** 2) / 2)
    return np.asarray(np.linalg.norm(others - one, axis=-1) / np.maximum(norm, 1e-12))


@dataclass(frozen=True)
class Entry:
    """A defect of a library: its name with the probability of the name, its atoms, its image and where it is from.

    image: (h, w) float32; corner_nm: (y, x) of the centre of its pixel (0, 0) in the frame.
    """

    name: str
    score: float
    fragment: Fragment
    image: NDArray[np.float32]
    pixel_nm: float
    corner_nm: tuple[float, float] = (0.0, 0.0)
    source: str = ""
    digest: str = ""
    frame: int = 0
    added: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Found:
    """An answer of a search: the entry's number and name, how unlike it looks, whether it is bonded alike."""

    number: int
    name: str
    distance: float
    same_graph: bool


@dataclass(frozen=True)
class Library:
    """A library of defects in the file `path`."""

    path: Path

    @classmethod
    def create(cls, path: Path, about: str = "") -> Library:
        """Return a new, empty library; raises `BadInput` where there is a file already."""
        import h5py

        if path.exists():
            raise BadInput(f"There is a file {path} already: open it, or choose another name for the new library.")
        with whole(path) as temporary, h5py.File(temporary, "w") as file:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            file.attrs.update({"format": FORMAT, "schema": SCHEMA, "created": now, "about": about})
            file.create_group("entries")
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Library:
        """Return the library in a file; raises `BadInput` if it is none, or one of a later schema."""
        with _opened(path) as file:
            if file.attrs.get("format") != FORMAT or "entries" not in file:
                raise BadInput(f"{path} is no library of defects: make one with micrograph library build.")
            if int(file.attrs["schema"]) > SCHEMA:
                raise BadInput(f"{path} has schema {file.attrs['schema']}, this version knows {SCHEMA}: update it.")
        return cls(path)

    def __len__(self) -> int:
        """Number of entries."""
        with _opened(self.path) as file:
            return len(file["entries"])

    def add(self, entries: Iterable[Entry]) -> int:
        """Add entries, all or none, and return how many the library then holds; nothing that was there can be lost."""
        import h5py

        with whole(self.path) as temporary:
            shutil.copyfile(self.path, temporary)
            with h5py.File(temporary, "r+") as file:
                group = file["entries"]
                for number, entry in enumerate(entries, start=len(group)):
                    _write(group.create_group(f"{number:08d}"), entry)
                return len(group)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in the order in which they were added."""
        for number in range(len(self)):
            yield self[number]

    def __getitem__(self, number: int) -> Entry:
        """Read entry `number`; raises `BadInput` where there is none."""
        with _opened(self.path) as file:
            if f"{number:08d}" not in file["entries"]:
                raise BadInput(f"The library {self.path} has no entry {number}: it has {len(file['entries'])}.")
            return _read(file["entries"][f"{number:08d}"])

    def search(self, like: Fragment, count: int = 10, *, exact: bool = False) -> list[Found]:
        """Return the entries that look most like a fragment, nearest first, at most `count`.

        exact: only those that are bonded alike (`Fragment.same_graph`).
        """
        with _opened(self.path) as file:
            groups = [file["entries"][name] for name in sorted(file["entries"])]
            if not groups:
                return []
            distance = look_distance(like.look, np.stack([group["look"][()] for group in groups]))
            wanted, found = like.graph, []
            for number in np.argsort(distance, kind="stable").tolist():
                same = groups[number].attrs["graph"] == wanted and like.same_graph(_read_fragment(groups[number]))
                if same or not exact:
                    found.append(Found(number, str(groups[number].attrs["name"]), float(distance[number]), same))
                if len(found) == count:
                    break
            return found


def _opened(path: Path) -> h5py.File:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise BadInput(f"{path} cannot be read as a library of defects: it is missing or no HDF5 file.") from error


def _write(group: h5py.Group, entry: Entry) -> None:
    import h5py

    atoms = entry.fragment
    group.attrs.update(
        {
            "name": entry.name, "score": entry.score, "graph": atoms.graph, "source": entry.source,
            "digest": entry.digest, "frame": entry.frame, "added": entry.added, "versions": json.dumps(versions()),
        }
    )  # fmt: skip
    image = group.create_dataset("image", data=entry.image.astype(np.float32), compression="gzip")
    image.attrs.update({"pixel_nm": entry.pixel_nm, "y_nm": entry.corner_nm[0], "x_nm": entry.corner_nm[1]})
    text = h5py.string_dtype()
    group.create_dataset("atoms/element", data=np.array(atoms.element, dtype=object), dtype=text)
    group.create_dataset("atoms/rings", data=np.array(atoms.rings, dtype=object), dtype=text)
    numbers = {
        "atoms/core": atoms.core, "atoms/place_nm": atoms.place_nm, "atoms/sigma_nm": atoms.sigma_nm,
        "bonds/atoms": atoms.bonds.astype(np.int64), "bonds/length_nm": atoms.length_nm,
        "bonds/sigma_nm": atoms.length_sigma_nm, "look": atoms.look,
    }  # fmt: skip
    for name, values in numbers.items():
        group.create_dataset(name, data=values)


def _read(group: h5py.Group) -> Entry:
    image, said = group["image"], group.attrs
    return Entry(
        name=str(said["name"]),
        score=float(said["score"]),
        fragment=_read_fragment(group),
        image=np.asarray(image[()]),
        pixel_nm=float(image.attrs["pixel_nm"]),
        corner_nm=(float(image.attrs["y_nm"]), float(image.attrs["x_nm"])),
        source=str(said["source"]),
        digest=str(said["digest"]),
        frame=int(said["frame"]),
        added=str(said["added"]),
    )


def _read_fragment(group: h5py.Group) -> Fragment:
    atoms, bonds = group["atoms"], group["bonds"]
    element, rings = (tuple(str(each) for each in atoms[name].asstr()[()]) for name in ("element", "rings"))
    place, sigma, core = (np.asarray(atoms[name][()]) for name in ("place_nm", "sigma_nm", "core"))
    joined, length, doubt = (np.asarray(bonds[name][()]) for name in ("atoms", "length_nm", "sigma_nm"))
    return Fragment(element, place, sigma, core, rings, joined, length, doubt)


def _short(parts: list[str]) -> str:
    return sha256("|".join(parts).encode()).hexdigest()[:16]
