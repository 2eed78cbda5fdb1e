import numpy as np
import pytest

from micrograph.features.diffraction.spots import Net, Spots, fit_net
from micrograph.features.diffraction.zone_catalogue import EVIDENCE, zone_evidence
from micrograph.simulate.patterns.diffraction import Beam, excited, reflections, zone_rotation
from micrograph.structures.prototypes import ELEMENTAL, prototype

ZONES = ((0, 0, 1), (0, 1, 1), (1, 1, 1))
CUBIC = ("fcc", "bcc", "simple-cubic", "diamond")


def nets(name: str, **free: float) -> tuple[list[Net], float]:
    """Return the plane lattices of three zones of a crystal and its shortest reflection."""
    cell = prototype(name, ("Cu",), 4.0, **free)
    found = reflections(cell, 12.0)
    seen = []
    for zone in ZONES:
        shown = excited(found, zone_rotation(cell, np.array(zone)), Beam(200.0, 10.0))
        strong = shown[shown.intensity > 1e-2 * shown.intensity.max()]
        net = fit_net(Spots(strong.g_per_nm[:, :2], strong.intensity))
        assert net is not None
        seen.append(net)
    return seen, min(float(net.lengths[0]) for net in seen)


@pytest.mark.parametrize("name", CUBIC)
def test_three_zones_of_a_cubic_crystal_tell_its_lattice(name: str) -> None:
    evidence = zone_evidence(*nets(name))
    assert ELEMENTAL[int(np.argmax(evidence[:-1]))] == name


def test_evidence_does_not_depend_on_the_unit_of_length() -> None:
    seen, shortest = nets("fcc")
    larger = [Net(3 * n.basis, n.index, n.on, 3 * n.origin, n.indexed, 3 * n.sigma, n.angle_sigma_deg) for n in seen]
    np.testing.assert_allclose(zone_evidence(larger, 3 * shortest), zone_evidence(seen, shortest), atol=1e-9)


def test_no_lattice_gives_no_evidence() -> None:
    assert not zone_evidence([], 1.0).any()
    assert len(zone_evidence([], 1.0)) == EVIDENCE
