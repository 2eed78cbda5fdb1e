"""Graphene as a net of bonds: defects are cut and rewired in the net, then the sheet relaxes onto it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sites
from micrograph.simulate.optics import Microscope
from micrograph.validate.exact import Specimen
from micrograph.validate.scenes import Cell, Defect, Scene, apart, hexagonal_points, periodic_difference

#: Projected bond lengths in nm by the number of silicon atoms in the bond.
BOND_NM = (0.142, 0.170, 0.226)
#: Height of a three-fold silicon above the sheet in nm.
SILICON_HEIGHT_NM = 0.05


@dataclass
class CarbonNet:
    """Atoms (points (N, 2) as (y, x) in nm, numbers (N,)) and bonds (neighbour sets) in a periodic cell.

    It is changed in place while a scene is built; a removed atom has the number 0 and no neighbours.
    """

    points: NDArray[np.float64]
    numbers: NDArray[np.int_]
    size_nm: tuple[float, float]
    neighbours: list[set[int]]
    defects: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    @classmethod
    def sheet(cls, cell: Cell) -> CarbonNet:
        """Return perfect graphene."""
        first, second, size = hexagonal_points(0.246, cell)
        points = np.concatenate([first, second])
        neighbours = []
        for i, point in enumerate(points):
            distance = np.hypot(*periodic_difference(points, point, size).T)
            neighbours.append({int(j) for j in np.flatnonzero(distance < 0.16) if j != i})
        return cls(points, np.full(len(points), 6), size, neighbours)

    def vector(self, start: int, end: int) -> NDArray[np.float64]:
        """Return the shortest vector (y, x) from one atom to another."""
        return periodic_difference(self.points[end], self.points[start], self.size_nm)

    def bond(self, i: int, j: int, *, present: bool = True) -> None:
        """Add or cut the bond between two atoms."""
        for a, b in ((i, j), (j, i)):
            if present:
                self.neighbours[a].add(b)
            else:
                self.neighbours[a].discard(b)

    def remove(self, i: int) -> list[int]:
        """Remove an atom; return its former neighbours."""
        left = sorted(self.neighbours[i])
        for j in left:
            self.bond(i, j, present=False)
        self.numbers[i] = 0
        return left

    def rotate(self, i: int, j: int) -> tuple[int, ...]:
        """Turn the bond i-j by 90 degrees (Stone and Wales); return the six atoms concerned."""
        along = self.vector(i, j)
        across = np.array([-along[1], along[0]]) / 2
        upper_i, lower_i = self._ordered(i, self.neighbours[i] - {j}, across)
        upper_j, lower_j = self._ordered(j, self.neighbours[j] - {i}, across)
        middle = self.points[i] + along / 2
        self.points[i], self.points[j] = middle + across, middle - across
        self.bond(i, lower_i, present=False)
        self.bond(j, upper_j, present=False)
        self.bond(i, upper_j)
        self.bond(j, lower_i)
        return (i, j, upper_i, lower_i, upper_j, lower_j)

    def _ordered(self, i: int, around: set[int], direction: NDArray[np.float64]) -> list[int]:
        """Return neighbours of atom i from the one furthest along `direction` on."""
        return sorted(around, key=lambda k: float(-self.vector(i, k) @ direction))

    def rings(self) -> list[tuple[int, ...]]:
        """Return the faces of the net as tuples of atoms, each once."""
        turn: dict[tuple[int, int], int] = {}
        for i, around in enumerate(self.neighbours):
            directions = {k: float(np.arctan2(*self.vector(i, k))) for k in around}
            order = sorted(around, key=directions.__getitem__)
            for place, k in enumerate(order):
                turn[k, i] = order[(place + 1) % len(order)]
        faces = []
        while turn:
            (start, here), _ = next(iter(turn.items()))
            face = []
            step = (start, here)
            while step in turn:
                following = turn.pop(step)
                face.append(step[1])
                step = (step[1], following)
            faces.append(tuple(face))
        return faces

    def relax(self) -> None:
        """Let bonds and angles settle: springs along bonds, weaker ones between second neighbours."""
        import scipy.optimize

        first, second, length, stiffness = self._springs()
        size = np.array(self.size_nm)

        def energy(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            points = flat.reshape(-1, 2)
            vector = (points[second] - points[first] + size / 2) % size - size / 2
            distance = np.hypot(*vector.T)
            force = (stiffness * (distance - length) / distance)[:, None] * vector
            gradient = np.zeros_like(points)
            np.add.at(gradient, second, force)
            np.add.at(gradient, first, -force)
            return float(np.sum(stiffness * (distance - length) ** 2) / 2), gradient.ravel()

        found = scipy.optimize.minimize(
            energy, self.points.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500}
        )
        self.points = found.x.reshape(-1, 2)

    def _springs(self) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.float64], NDArray[np.float64]]:
        """Ends, rest lengths (nm) and stiffness of all springs."""
        rows: list[tuple[int, int, float, float]] = []
        for i, around in enumerate(self.neighbours):
            reach = {k: BOND_NM[int(self.numbers[i] == 14) + int(self.numbers[k] == 14)] for k in around}
            rows += [(i, k, reach[k], 1.0) for k in around if k > i]
            opening = 2 * np.sin(np.pi / max(len(around), 3))
            for a in around:
                rows += [(a, b, opening * (reach[a] + reach[b]) / 2, 0.12) for b in around if b > a]
        first, second, length, stiffness = (np.array(column) for column in zip(*rows, strict=True))
        return first, second, length, stiffness


def stone_wales(net: CarbonNet, site: int) -> None:
    """Turn one bond: two pentagons and two heptagons (SW)."""
    net.defects.append(("SW", net.rotate(site, min(net.neighbours[site]))[:2]))


def dislocations(net: CarbonNet, site: int) -> None:
    """Turn two bonds so that two separate pentagon-heptagon pairs (5-7) stand apart: a pair of dislocations."""
    turned = net.rotate(site, min(net.neighbours[site]))
    near = {k for i in turned for k in net.neighbours[i]} | set(turned)
    for i, j in sorted((a, b) for a in near for b in net.neighbours[a] if b > a):
        saved = net.points.copy(), [set(s) for s in net.neighbours]
        net.rotate(i, j)
        net.relax()
        odd = [set(ring) for ring in net.rings() if len(ring) != 6]
        five, seven = [r for r in odd if len(r) == 5], [r for r in odd if len(r) == 7]
        pairs = [p | h for p in five for h in seven if len(p & h) == 2]
        if len(odd) == 4 and len(five) == len(seven) == len(pairs) == 2 and not seven[0] & seven[1]:
            net.defects += [("5-7", tuple(pair)) for pair in pairs]
            return
        net.points, net.neighbours = saved
    raise AssertionError("no second bond separates the two pairs")


def vacancy(net: CarbonNet, site: int) -> None:
    """Remove one atom (V1), not reconstructed."""
    net.defects.append(("V1", tuple(net.remove(site))))


def divacancy(net: CarbonNet, site: int) -> None:
    """Remove two neighbours and close the gap to 5-8-5 (V2)."""
    partner = min(net.neighbours[site])
    pairs = [net.neighbours[site] - {partner}, net.neighbours[partner] - {site}]
    net.remove(site)
    net.remove(partner)
    for a, b in pairs:
        net.bond(a, b)
    net.defects.append(("V2", tuple(sorted(set().union(*pairs)))))


def silicon(net: CarbonNet, site: int) -> None:
    """Put one silicon on a carbon site (Si1C3)."""
    net.numbers[site] = 14
    net.defects.append(("Si1C3", (site,)))


def silicon_dimer(net: CarbonNet, site: int) -> None:
    """Put silicon on two neighbouring sites (Si2C4)."""
    partner = min(net.neighbours[site])
    net.numbers[[site, partner]] = 14
    net.defects.append(("Si2C4", (site, partner)))


def silicon_in_divacancy(net: CarbonNet, site: int) -> None:
    """Put one silicon into the place of two neighbours: four bonds (Si1C4)."""
    partner = min(net.neighbours[site])
    net.points[site] += net.vector(site, partner) / 2
    for k in net.remove(partner):
        if k != site:
            net.bond(site, k)
    net.numbers[site] = 14
    net.defects.append(("Si1C4", (site,)))


def silicon_trimer(net: CarbonNet, site: int) -> None:
    """Put silicon on the three neighbours of a vacancy, bonded to one another (Si3C6)."""
    three = net.remove(site)
    net.numbers[three] = 14
    for i, a in enumerate(three):
        for b in three[i + 1 :]:
            net.bond(a, b)
    net.defects.append(("Si3C6", tuple(three)))


KINDS = {
    "SW": stone_wales,
    "5-7": dislocations,
    "V1": vacancy,
    "V2": divacancy,
    "Si1C3": silicon,
    "Si1C4": silicon_in_divacancy,
    "Si2C4": silicon_dimer,
    "Si3C6": silicon_trimer,
}


def defective_scene(cell: Cell, microscope: Microscope, kinds: tuple[str, ...], rng: np.random.Generator) -> Scene:
    """Return graphene with one defect of each of the `kinds`, at least 1.2 nm apart; atoms displaced by 4 pm."""
    net = CarbonNet.sheet(cell)
    chosen = apart(net.points, net.size_nm, len(kinds), 1.2, rng)
    for kind, site in sorted(zip(kinds, chosen, strict=True), key=lambda pair: pair[0] != "5-7"):
        KINDS[kind](net, site)
    net.relax()
    net.points = net.points + rng.normal(0, 0.004, net.points.shape)
    defects = tuple(_placed(net, name, atoms) for name, atoms in net.defects)
    there = net.numbers > 0
    points, numbers = net.points[there], net.numbers[there]
    three_fold = np.array([len(around) == 3 for around in net.neighbours])[there] & (numbers == 14)
    positions = np.column_stack([points, np.where(three_fold, SILICON_HEIGHT_NM, 0.0)])
    sites = Sites(points[:, 0], points[:, 1], np.where(numbers == 14, "Si", "C"))
    return Scene(Specimen(positions, numbers, net.size_nm, 0.3), microscope, sites, defects)


def _placed(net: CarbonNet, name: str, atoms: tuple[int, ...]) -> Defect:
    """Name and centre (y, x) of a defect, in the cell."""
    offsets = [net.vector(atoms[0], atom) for atom in atoms]
    y, x = (net.points[atoms[0]] + np.mean(offsets, axis=0)) % net.size_nm
    return name, float(y), float(x)
