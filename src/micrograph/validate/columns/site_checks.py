"""Checks of naming what sits where: elements and the occupation of sites, beside the best rule on intensities alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.baselines import by_brightness, disc_sums
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, bootstrap, share_interval
from micrograph.validate.limits import bayes_confusion
from micrograph.validate.metrics import balanced_accuracy, class_recall, confusion_matrix
from micrograph.validate.trials import Answer, Trial, is_empty

Confusion = NDArray[np.int_]
Names = NDArray[np.str_]
#: Classes that compete for the same sites, one tuple a sublattice.
Groups = tuple[tuple[str, ...], ...]

GRAPHENE: Groups = (("C", "Si"),)
TMD: Groups = (("W", "Mo", "V", "vac_W", "vac_Mo"), ("Se2", "S2", "Se1", "S1", "Se0", "S0"))
#: Sites are read by the classical baseline within this radius (nm).
_DISC_NM = 0.05
#: Stands for a site at which nothing was found.
MISSED = "missed"


def species_error(
    trial: Trial,
    *,
    groups: Groups = GRAPHENE,
    margin: float = 0.002,
    times_limit: float = 2.0,
    radius_nm: float = 0.05,
) -> Check:
    """Build the check: share of the found columns that are called by a wrong name.

    The bound is ``margin + times_limit * Bayes error``, with the classes as frequent as in the references.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        counts = [_confusion(*_seen(_calls(answer, groups, radius_nm)), groups) for answer in answers]
        wrong, sites = [int(c.sum() - np.trace(c)) for c in counts], [int(c.sum()) for c in counts]
        limit = 1 - float(np.average([np.trace(_bayes(a, groups, equal=False)) for a in answers]))
        plain = np.sum([_confusion(*_plain_calls(answer, groups), groups) for answer in answers], axis=0)
        return Measurement.of(
            share_interval(wrong, sites, rng),
            limit=limit,
            baseline=1 - float(np.trace(plain) / plain.sum()),
            detail=_recalls(np.sum(counts, axis=0), groups),
        )

    name = "/".join(name for group in groups for name in group)
    return Check(f"columns misnamed ({name}) at {trial}", measure, margin, "<=", times_limit=times_limit)


def site_accuracy(trial: Trial, *, at_least: float = 0.98, groups: Groups = TMD, radius_nm: float = 0.08) -> Check:
    """Build the check: balanced accuracy of the names of all sites, empty ones included; a missed site is wrong.

    Limit: the best rule on intensities alone. Baseline: brightness of a disc, k-means in each sublattice, sites known.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        counts = [_confusion(*_calls(answer, groups, radius_nm), groups) for answer in answers]
        plain = [_confusion(*_plain_calls(answer, groups), groups) for answer in answers]
        interval = bootstrap(_pooled_accuracy, counts, rng).widened(_balanced_interval(np.sum(counts, axis=0), rng))
        return Measurement.of(
            interval,
            limit=_balanced_limit(answers, groups),
            baseline=_pooled_accuracy(plain),
            detail=_recalls(np.sum(counts, axis=0), groups),
        )

    return Check(f"sites named right (balanced) at {trial}", measure, at_least, ">=")


def site_recall(
    trial: Trial, label: str, *, at_least: float = 0.99, groups: Groups = TMD, radius_nm: float = 0.08
) -> Check:
    """Build the check: share of the sites of one class that are found and called by its name."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        place = _labels(groups).index(label)
        rows = [_confusion(*_calls(answer, groups, radius_nm), groups)[place] for answer in answers]
        plain = np.sum([_confusion(*_plain_calls(answer, groups), groups)[place] for answer in answers], axis=0)
        interval = share_interval([int(row[place]) for row in rows], [int(row.sum()) for row in rows], rng)
        recalls = [recall[place] for recall in (_bayes_recall(answer, groups) for answer in answers)]
        return Measurement.of(
            interval,
            limit=float(np.nanmean(recalls)),
            baseline=float(plain[place] / plain.sum()),
            detail=f"{int(np.sum(rows))} sites in {len(answers)} images",
        )

    return Check(f"{label} recall at {trial}", measure, at_least, ">=")


def false_calls(answers: Sequence[Answer], groups: Groups) -> tuple[float, float]:
    """Return which share of host sites (the commonest class of a group) is called otherwise, at best and classically.

    At best: by the best rule on intensities, with the classes as frequent as they are. Classically: disc and k-means.
    """
    best, plain = np.zeros((len(_labels(groups)),) * 2), np.zeros((len(_labels(groups)),) * 2)
    for answer in answers:
        sites = len(_judged(answer, groups))
        best += sites * _bayes(answer, groups, equal=False)
        plain += _confusion(*_plain_calls(answer, groups), groups)[:, :-1]
    hosts = [_labels(groups).index(max(group, key=lambda n: plain[_labels(groups).index(n)].sum())) for group in groups]
    shares = [1 - table[hosts, hosts].sum() / table[hosts].sum() for table in (best, plain)]
    return float(shares[0]), float(shares[1])


def _labels(groups: Groups) -> list[str]:
    return [name for group in groups for name in group]


def _judged(answer: Answer, groups: Groups) -> NDArray[np.intp]:
    """Return the rows of the true sites that are judged and belong to a group."""
    return np.flatnonzero(answer.judged & np.isin(answer.reference.sites.label, _labels(groups)))


def _calls(answer: Answer, groups: Groups, radius_nm: float) -> tuple[Names, Names]:
    """Return true and found names of the judged sites."""
    rows = _judged(answer, groups)
    pairs = answer.matched(radius_nm)
    found = np.full(len(answer.reference.sites), MISSED, dtype="U16")
    found[pairs.true] = answer.found.label[pairs.found]
    return answer.reference.sites.label[rows], found[rows]


def _seen(calls: tuple[Names, Names]) -> tuple[Names, Names]:
    """Return the calls without missed sites."""
    there = calls[1] != MISSED
    return calls[0][there], calls[1][there]


def _plain_calls(answer: Answer, groups: Groups) -> tuple[Names, Names]:
    """Return true names and the classical baseline's: disc brightness, k-means from the expected brightnesses."""
    sites, pixel = answer.reference.sites, answer.reference.pixel_nm
    true: list[Names] = []
    called: list[Names] = []
    for group in groups:
        rows = _judged(answer, (group,))
        present = np.array([name for name in group if (sites.label[rows] == name).any()])
        if len(present) == 0:
            continue
        y, x = sites.y_nm[rows] / pixel, sites.x_nm[rows] / pixel
        expected = disc_sums(answer.reference.fraction, y, x, _DISC_NM / pixel)
        electrons = answer.trial.dose_e_per_A2 * (10 * pixel) ** 2
        centres = [electrons * expected[sites.label[rows] == name].mean() for name in present]
        true.append(sites.label[rows])
        called.append(present[by_brightness(disc_sums(answer.image, y, x, _DISC_NM / pixel), centres)])
    return np.concatenate(true), np.concatenate(called)


def _confusion(true: Names, found: Names, groups: Groups) -> Confusion:
    return confusion_matrix(true, found, _labels(groups))


def _pooled_accuracy(counts: Sequence[Confusion]) -> float:
    return balanced_accuracy(np.sum(counts, axis=0))


def _balanced_interval(counts: Confusion, rng: np.random.Generator) -> Interval:
    """Return balanced accuracy with the interval of independent sites (Jeffreys prior for each class's recall)."""
    sites, right = counts.sum(axis=1), np.diagonal(counts)
    known = sites > 0
    drawn = rng.beta(right[known] + 0.5, (sites - right)[known] + 0.5, size=(4000, int(known.sum()))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = balanced_accuracy(counts)
    return Interval(value, min(value, float(low)), max(value, float(high)))


def _bayes(answer: Answer, groups: Groups, *, equal: bool) -> NDArray[np.float64]:
    """Return the joint chances (L, L) of true and called class of a site under the best rule on intensities."""
    labels = _labels(groups)
    joint = np.zeros((len(labels), len(labels)))
    sites = answer.reference.sites.label
    section, sigma = answer.columns().section_A2, answer.limits().section_A2
    total = len(_judged(answer, groups))
    for group in groups:
        rows = {name: answer.judged & (sites == name) for name in group}
        present = [name for name in group if rows[name].any()]
        if not present:
            continue
        count = np.array([rows[name].sum() for name in present])
        means = [0.0 if is_empty(np.array([name]))[0] else section[rows[name]].mean() for name in present]
        sigmas = [np.sqrt(np.mean(sigma[rows[name]] ** 2)) for name in present]
        chances = bayes_confusion(means, sigmas, None if equal else count)
        place = [labels.index(name) for name in present]
        joint[np.ix_(place, place)] = chances * (count / total)[:, None]
    return joint


def _bayes_recall(answer: Answer, groups: Groups) -> NDArray[np.float64]:
    """Return the best recall (L,) of every class, classes of a group equally likely; NaN for those not there."""
    joint = _bayes(answer, groups, equal=True)
    share = joint.sum(axis=1)
    return np.asarray(np.where(share > 0, np.diagonal(joint) / np.maximum(share, 1e-300), np.nan))


def _balanced_limit(answers: Sequence[Answer], groups: Groups) -> float:
    recalls = np.array([_bayes_recall(answer, groups) for answer in answers])
    there = np.isfinite(recalls).any(axis=0)
    return float(np.nanmean(recalls[:, there], axis=0).mean())


def _recalls(counts: Confusion, groups: Groups) -> str:
    """Say the recall of every class and the number of its sites."""
    rows = zip(_labels(groups), class_recall(counts), counts.sum(axis=1), strict=True)
    return ", ".join(f"{name} {recall:.3f} of {sites}" for name, recall, sites in rows if sites)
