"""Class averages of crops in any orientation: where the training of `train.rvae` begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from micrograph.nets.rvae import Rvae

#: Rounds of laying crops on the averages and averaging anew; beginnings of which the best is kept.
_ROUNDS, _RESTARTS = 6, 2
#: Groups at the beginning for each class that is wanted; a class must fit its own
#: crops better than the others by so many nats.
_MANY, _SURE = 2, 2.0
#: Crops that take part at most: in the averages, in each beginning.
_MOST, _FEW = 2500, 900


@dataclass(frozen=True)
class Averages:
    """Averages of K classes: mean (K, J, 2), variance (K, J) around it, share (K,) of the crops.

    scale (J,): 1-sigma of each coefficient over all crops; lattice (J, 2): n-fold part of their average, of length one;
    zero_turn: where angles count from, in radians.
    """

    mean: Tensor
    variance: Tensor
    share: Tensor
    scale: Tensor
    lattice: Tensor
    zero_turn: Tensor


class _Round(NamedTuple):
    """Mean (K, J, 2), variance (K, J), share (K,) of the classes; log likelihood with prior (N, K) of crops in them."""

    mean: Tensor
    variance: Tensor
    share: Tensor
    fit: Tensor

    @property
    def total(self) -> float:
        """How well the classes fit the crops."""
        return float(torch.logsumexp(self.fit, dim=1).mean())


def averaged(net: Rvae, crops: Tensor, rng: np.random.Generator) -> Averages:
    """Return averages of the classes of `crops` (N, J, 2), the largest first, at most as many as the network has.

    Every crop is first laid on the n-fold average of all, so that the classes share one orientation. Expectation and
    maximisation then begin at more groups of alike crops than are wanted; classes that cannot be told apart are joined.
    """
    crops = crops[torch.from_numpy(rng.permutation(len(crops))[:_MOST])]
    template = _common_template(net, crops)
    period = 2 * math.pi / net.spec.symmetry
    laid = net.laid_back(crops, *net.poses(crops, template, period))
    scale = torch.sqrt(_variance(net, laid, laid.mean(0))).clamp_min(1e-6)
    restarts = _RESTARTS if net.spec.classes > 1 else 1
    trials = [_tried(net, crops[:_FEW], laid[:_FEW], scale, rng) for _ in range(restarts)]
    found = max(trials, key=lambda trial: trial.total)
    for _ in range(2):
        for _ in range(_ROUNDS // 2):
            found = _improved(net, crops, found)
        found = _pruned(found, net.spec.classes)
    order = found.share.argsort(descending=True, stable=True)
    mean, variance, share = found.mean[order], found.variance[order], found.share[order]
    lattice = _folded(net) * laid.mean(0)
    zero_turn = _zero_turn(net, lattice)
    return Averages(mean, variance, share, scale, lattice / lattice.norm(), zero_turn)


def _tried(net: Rvae, crops: Tensor, laid: Tensor, scale: Tensor, rng: np.random.Generator) -> _Round:
    """Return the classes after a few rounds from random groups of alike crops."""
    classes = _MANY * net.spec.classes if net.spec.classes > 1 else 1
    group = _groups(laid / scale[:, None], classes, net, rng)
    mean = torch.stack([_unfolded(net, laid[group == kind], scale, rng) for kind in range(classes)])
    share = torch.bincount(group, minlength=classes).float() / len(group)
    found = _Round(mean, (scale**2).expand(classes, -1), share, torch.zeros(len(crops), classes))
    for _ in range(_ROUNDS):
        found = _improved(net, crops, found)
    return found


def _pruned(found: _Round, most: int) -> _Round:
    """Return at most `most` classes: those without which the crops fit least worse go first.

    A class without which its own crops fit as well in others is none.
    """
    while len(found.share) > 1:
        every = torch.logsumexp(found.fit, dim=1)
        own = torch.softmax(found.fit, dim=1).sum(0)
        kinds = range(len(found.share))
        loss = torch.stack([(every - torch.logsumexp(_without(found, kind).fit, dim=1)).sum() for kind in kinds])
        doubtful = loss < _SURE * own
        if len(found.share) <= most and not bool(doubtful.any()):
            break
        candidates = torch.where(doubtful, loss - 1e9, loss) if bool(doubtful.any()) else loss
        found = _without(found, int(candidates.argmin()))
    return found


def _without(found: _Round, kind: int) -> _Round:
    """Return all classes but one; the others share what is left in proportion."""
    kept = torch.tensor([other for other in range(len(found.share)) if other != kind])
    share = found.share[kept] / found.share[kept].sum()
    fit = found.fit[:, kept] - torch.log(found.share[kept]) + torch.log(share)
    return _Round(found.mean[kept], found.variance[kept], share, fit)


def _common_template(net: Rvae, crops: Tensor) -> Tensor:
    """Return the n-fold part (J, 2) of the average crop over its variance: what all crops are laid on first."""
    symmetry = net.spec.symmetry
    variance = _variance(net, crops, torch.zeros_like(crops[0]))
    template = _principal(crops, net.harmonics.orders, symmetry) / torch.sqrt(variance)[:, None]
    for _ in range(_ROUNDS):
        laid = net.laid_back(crops, *net.poses(crops, template, 2 * math.pi / symmetry))
        template = _folded(net) * laid.mean(0) / _variance(net, laid, laid.mean(0))[:, None]
    return template


def _folded(net: Rvae) -> Tensor:
    """Return (J, 1): 1 for the harmonics that a turn by 360 / symmetry degrees leaves alone, without the round ones."""
    orders = net.harmonics.orders
    return ((orders > 0) & (orders % net.spec.symmetry == 0)).float()[:, None]


def _principal(crops: Tensor, orders: Tensor, symmetry: int) -> Tensor:
    """Return (J, 2): the strongest radial pattern among the harmonics of order `symmetry`; zero elsewhere."""
    mine = orders == symmetry
    block = torch.complex(crops[:, mine, 0], crops[:, mine, 1])
    _, vectors = torch.linalg.eigh(block.mH @ block / len(block))
    lead = vectors[:, -1].conj()
    lead = lead * torch.exp(-1j * torch.angle(lead[lead.abs().argmax()]))
    pattern = torch.zeros(len(orders), 2)
    pattern[mine] = torch.stack([lead.real, lead.imag], dim=-1)
    return pattern


def _groups(relative: Tensor, count: int, net: Rvae, rng: np.random.Generator) -> Tensor:
    """Return a group (N,) for every crop by k-means on what a turn does not change: the sizes of its harmonics."""
    if count == 1:
        return torch.zeros(len(relative), dtype=torch.long)
    from sklearn.cluster import KMeans

    sizes = torch.where(net.harmonics.orders > 0, relative.norm(dim=-1), relative[..., 0])
    sizes = sizes / sizes.norm(dim=1, keepdim=True)
    sizes = (sizes - sizes.mean(0)) / sizes.std(0).clamp_min(1e-6)
    left, strength, _ = torch.linalg.svd(sizes, full_matrices=False)
    found = KMeans(count, n_init=4, random_state=int(rng.integers(2**31))).fit_predict(
        (left[:, :12] * strength[:12]).numpy()
    )
    return torch.from_numpy(found.astype(np.int64))


def _unfolded(net: Rvae, laid: Tensor, scale: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the average (J, 2) of crops that were laid modulo the symmetry, each at the turn where it fits best."""
    turns = torch.arange(net.spec.symmetry) * (2 * math.pi / net.spec.symmetry)
    options = net.harmonics.turned(laid[:, None], turns)
    mean = laid[int(rng.integers(len(laid)))]
    for _ in range(_ROUNDS):
        score = (options * mean / scale[:, None] ** 2).sum((-1, -2))
        mean = options[torch.arange(len(laid)), score.argmax(1)].mean(0)
    return mean


def _improved(net: Rvae, crops: Tensor, last: _Round) -> _Round:
    """Return the classes after one more round: every crop is laid on every class, classes average theirs."""
    templates = zip(last.mean, last.variance, strict=True)
    poses = [net.poses(crops, mean / variance[:, None], 2 * math.pi) for mean, variance in templates]
    laid = torch.stack([net.laid_back(crops, *pose) for pose in poses], dim=1)
    fit = _likeness(laid, last.mean, last.variance.mean(0)) + torch.log(last.share)
    weight = torch.softmax(fit, dim=1)
    total = weight.sum(0).clamp_min(1e-3)
    mean = (weight[..., None, None] * laid).sum(0) / total[:, None, None]
    wrong = (weight[..., None] * (laid - mean).square().sum(-1)).sum(0) / total[:, None] / net.real_parts
    variance = torch.maximum(wrong, 0.05 * last.variance.amax(0))
    share = (total / total.sum()).clamp_min(1e-3)
    return _Round(mean, variance, share, fit)


def _likeness(laid: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return (N, K): log likelihood of laid crops (N, K, J, 2) under each mean (K, J, 2), up to a constant.

    Amplitude and noise are those that suit each crop best, so that faint or disordered crops are no class of their own:
    what counts is the cosine between crop and mean.
    """
    weight = 1 / variance[:, None]
    product = (laid * mean * weight).sum((-1, -2))
    lengths2 = (laid.square() * weight).sum((-1, -2)) * (mean.square() * weight).sum((-1, -2))
    cosine2 = product.clamp_min(0.0).square() / lengths2.clamp_min(1e-12)
    return -0.5 * laid[0, 0].numel() * torch.log1p(-cosine2.clamp_max(0.9999))


def _variance(net: Rvae, crops: Tensor, mean: Tensor) -> Tensor:
    """Return the mean square (J,) of the coefficients' real and imaginary parts around `mean`."""
    return (crops - mean).square().sum(-1).mean(0) / net.real_parts


def _zero_turn(net: Rvae, mean: Tensor) -> Tensor:
    """Return the angle in radians of a bright lobe of the n-fold part `mean` (J, 2) of the average crop."""
    symmetry, size = net.spec.symmetry, net.spec.size
    image = net.harmonics.images(mean[None])[0].double().numpy()
    axis = np.arange(size) - (size - 1) / 2
    radius, angle = np.hypot(axis[:, None], axis), np.arctan2(-axis[:, None], axis)
    lobes = image * np.exp(-1j * symmetry * angle)
    ring = np.rint(radius).astype(int)
    strength = np.bincount(ring.ravel(), lobes.real.ravel()) + 1j * np.bincount(ring.ravel(), lobes.imag.ravel())
    inside = strength[: size // 2] / np.maximum(np.bincount(ring.ravel())[: size // 2], 1)
    return torch.tensor(-np.angle(inside[np.abs(inside).argmax()]) / symmetry)
