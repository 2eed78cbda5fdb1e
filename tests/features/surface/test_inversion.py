"""Energies from configurations: exact likelihood where all can be summed, labels with errors, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput, Calibration, Frame
from micrograph.features.surface.configuration import from_table
from micrograph.features.surface.inversion import FitSettings, fit_field, pseudo_likelihood, quasi_chemical
from micrograph.features.surface.motif_counts import statistical_distance
from micrograph.simulate.scanning.lattice_gas import Surfaces
from micrograph.structures.lattice_gas import LatticeGas
from micrograph.validate.surfaces.energy_checks import CLASSES, table_of

GAS = LatticeGas((((0, 1), (1, 0)),))


def test_energies_come_back_with_five_percent_of_wrong_labels_where_pairs_alone_are_off() -> None:
    surface = Surfaces(size=30)(np.random.default_rng(3))
    field = surface.gas.periodic(30)
    wrong = np.log([0.95, 0.05])
    evidence = np.where(surface.seen[:, None] == np.arange(2), wrong[0], wrong[1])
    fit = fit_field(field, evidence, np.random.default_rng(4), FitSettings(replicas=24, last=60))
    truth = np.array([-0.194, -0.739, 0.890])
    assert (np.abs(fit.theta[2:] - truth) < 3 * fit.sigma[2:]).all()
    assert (fit.low < fit.theta).all() and (fit.theta < fit.high).all()
    assert (fit.sigma[2:] > np.sqrt(np.diag(np.linalg.inv(fit.complete)))[2:]).all()
    alone = quasi_chemical(field, surface.seen[:, None])[2:]
    assert abs(alone[1] - truth[1]) > 2 * fit.sigma[3]
    np.testing.assert_allclose(fit.posterior.sum(axis=1), 1)
    assert np.mean(fit.posterior.argmax(axis=1) == surface.states) >= np.mean(surface.seen == surface.states) - 0.01


def test_labels_without_errors_give_the_pseudo_likelihood_about() -> None:
    surface = Surfaces(GAS, (0.5,), (0.4,), size=40, label_error=0.0)(np.random.default_rng(5))
    field = GAS.periodic(40)
    evidence = np.where(surface.seen[:, None] == np.arange(2), 0.0, np.log(1e-3))
    fit = fit_field(field, evidence, np.random.default_rng(6), FitSettings(replicas=16, last=45))
    quick = pseudo_likelihood(field, evidence)
    assert fit.theta[1] == pytest.approx(-0.5, abs=3 * fit.sigma[1])
    assert quick[1] == pytest.approx(fit.theta[1], abs=2 * fit.sigma[1])


def test_a_table_gives_the_lattice_its_layers_and_what_touches() -> None:
    rng = np.random.default_rng(7)
    surface = Surfaces(size=14)(rng)
    frame = Frame(table_of(surface, rng), 0, Calibration(content="sites", channels=CLASSES))
    found = from_table(frame, (), (), 0.02)
    gas, distances = found.gas(2)
    assert [layer.names for layer in found.layers] == [("La", "Ca"), ("O", "no O")]
    assert len(gas.contacts) == 4 and found.offset == pytest.approx([0.5, 0.5], abs=0.02)
    np.testing.assert_allclose(distances, 0.39 * np.array([1, np.sqrt(2), 1 / np.sqrt(2)]), rtol=0.01)
    assert found.layers[0].error == pytest.approx(0.05, abs=1e-3)
    first, second = (layer.likely for layer in found.layers)
    assert first.sum() == surface.seen[:196].sum() and second.sum() == surface.seen[196:].sum()


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [(("Sr", "La"), (), "no site of class 'Sr'"), (("La",), (), "choose the two"), ((), ("O",), "choose the two")],
)
def test_classes_that_do_not_fit_are_refused(first: tuple[str, ...], second: tuple[str, ...], words: str) -> None:
    rng = np.random.default_rng(8)
    frame = Frame(table_of(Surfaces(size=8)(rng), rng), 0, Calibration(content="sites", channels=CLASSES))
    with pytest.raises(BadInput, match=words):
        from_table(frame, first, second, 0.02)


def test_the_statistical_distance_is_zero_for_like_and_a_right_angle_for_foreign_histograms() -> None:
    one = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 5.0]])
    np.testing.assert_allclose(statistical_distance(one, np.array([6.0, 2.0, 0.0])), [0, np.pi / 2], atol=1e-6)
