"""What the trainer needs of encoders: their examples, their loss, and how far their answers can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from micrograph.core import Sample
from micrograph.core import Sampler as SampleMaker
from micrograph.nets.encoder import seen_by
from micrograph.nets.encoder_spec import LOG_DIAGONAL, Answer, EncoderSpec
from micrograph.train.calibrate import Calibration, domain_statistics

#: Samples that are shuffled together and seen `reuse` times.
BLOCK = 512


class EncoderExamples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Item i: (image (C, s, s), known (M,), truth (T,)); which sample it is follows from i and `seed` alone."""

    def __init__(self, maker: SampleMaker, spec: EncoderSpec, seed: int, reuse: int, mirrored: bool = False) -> None:
        self.maker, self.spec, self.seed, self.reuse, self.mirrored = maker, spec, seed, reuse, mirrored
        self._kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return example number `item`."""
        block, place = divmod(item, BLOCK * self.reuse)
        turn, place = divmod(place, BLOCK)
        order = np.random.default_rng([self.seed, 1, block, turn]).permutation(BLOCK)
        number = block * BLOCK + int(order[place])
        if number not in self._kept:
            if len(self._kept) >= BLOCK:
                self._kept.clear()
            self._kept[number] = encoder_example(self.maker(np.random.default_rng([self.seed, 0, number])), self.spec)
        image, known, truth = self._kept[number]
        return (self._turned(image, item) if self.mirrored else image), known, truth

    def _turned(self, image: Tensor, item: int) -> Tensor:
        rng = np.random.default_rng([self.seed, 2, item])
        turned = torch.rot90(image, int(rng.integers(4)), (1, 2))
        return turned.flip(2) if rng.random() < 0.5 else turned


def encoder_example(sample: Sample, spec: EncoderSpec) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the network sees of a sample, what it is told beside it, and what it should answer."""
    image = seen_by(spec, sample.image, sample.pixel_nm)
    known = {name: float(sample.params[name]) for name in spec.known_names if name in sample.params}
    return torch.from_numpy(image), torch.from_numpy(spec.scaled(known)), torch.from_numpy(spec.target(sample.truth))


def encoder_loss(net: nn.Module, batch: Sequence[Tensor], spec: EncoderSpec) -> Tensor:
    """Cross-entropy of classes and the Gaussian log likelihood of values; answers without a truth do not count."""
    image, known, truth = batch
    raw = net(image.contiguous(memory_format=torch.channels_last), known)[0].float()
    answers = torch.split(raw, [head.outputs for head in spec.heads], dim=1)
    truths = torch.split(truth, [head.targets for head in spec.heads], dim=1)
    total: Tensor = raw.new_zeros(())
    for head, answer, true in zip(spec.heads, answers, truths, strict=True):
        there = torch.isfinite(true).all(dim=1)
        if bool(there.any()):
            total = total + head.weight * _loss_of(head, answer[there], true[there])
    return total


def _loss_of(head: Answer, answer: Tensor, true: Tensor) -> Tensor:
    if head.kind == "class":
        return functional.cross_entropy(answer, true[:, 0].long())
    whitened, log_diagonal = _whitened(head, answer, true)
    # A robust square: one hopeless example must not pull the whole batch.
    robust = functional.huber_loss(whitened, torch.zeros_like(whitened), delta=3.0, reduction="none")
    return (robust - log_diagonal).mean()


def _whitened(head: Answer, answer: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Return the errors (B, n) in units of their own 1-sigma and the logarithms of the factor's diagonal (B, n)."""
    n = head.size
    error = true - answer[:, :n]
    log_diagonal = answer[:, n : 2 * n].clamp(*LOG_DIAGONAL)
    lower = torch.diag_embed(log_diagonal.exp())
    rows, columns = torch.tril_indices(n, n, -1)
    lower[:, rows, columns] = answer[:, 2 * n :]
    return (lower @ error[:, :, None])[:, :, 0], log_diagonal


@torch.no_grad()
def calibrate_encoder(net: nn.Module, spec: EncoderSpec, fresh: EncoderExamples, count: int) -> Calibration:
    """Return how far the answers of `net` on `count` fresh examples can be trusted.

    Its confidence is the temperature of each class and the factor of 1-sigma of each value.
    """
    device = next(net.parameters()).device
    raws, embeddings, truths = [], [], []
    for start in range(0, count, 64):
        examples = [fresh[item] for item in range(start, min(start + 64, count))]
        image, known, truth = (torch.stack(part) for part in zip(*examples, strict=True))
        raw, embedding = net(image.to(device), known.to(device))
        raws.append(raw.float().cpu())
        embeddings.append(embedding.float().cpu())
        truths.append(truth)
    raw, truth = torch.cat(raws), torch.cat(truths)
    answers = torch.split(raw, [head.outputs for head in spec.heads], dim=1)
    known_truths = torch.split(truth, [head.targets for head in spec.heads], dim=1)
    factors = {
        head.name: _factor(head, answer, true)
        for head, answer, true in zip(spec.heads, answers, known_truths, strict=True)
    }
    return Calibration(domain_statistics(torch.cat(embeddings).numpy().astype(float)), factors, {})


def _factor(head: Answer, answer: Tensor, true: Tensor) -> float:
    there = torch.isfinite(true).all(dim=1)
    answer, true = answer[there], true[there]
    if len(true) == 0:
        return 1.0
    if head.kind == "class":
        return temperature(answer.numpy().astype(float), true[:, 0].numpy().astype(int))
    whitened, _ = _whitened(head, answer, true)
    squares = np.sort((whitened**2).sum(dim=1).numpy().astype(float))
    from scipy.stats import chi2

    # Where 95 % of the errors lie, not their mean square: intervals are to cover.
    return float(np.sqrt(np.quantile(squares, 0.95) / chi2.ppf(0.95, head.size)))


def temperature(scores: NDArray[np.float64], labels: NDArray[np.int_]) -> float:
    """Return the temperature at which scores (N, K) are likeliest probabilities of `labels` (N,) (arXiv:1706.04599)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    def cost(log_t: float) -> float:
        scaled = scores / np.exp(log_t)
        picked = np.take_along_axis(scaled, labels[:, None], axis=1)[:, 0]
        return float((logsumexp(scaled, axis=1) - picked).mean())

    return float(np.exp(minimize_scalar(cost, bounds=(-3.0, 3.0), method="bounded").x))
