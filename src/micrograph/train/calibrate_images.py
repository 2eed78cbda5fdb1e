"""Heads that answer with images: the likelihood by which they learn, and whether their 1-sigma holds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from micrograph.nets.whitening import LOG_VARIANCE, sigma_of

#: Shares of a normal distribution within 1 and 2 sigma.
WITHIN = (0.6827, 0.9545)
#: Neighbouring pixels err alike: one of so many along each axis is asked.
EVERY = 3


def image_loss(value: Tensor, log_variance: Tensor, target: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of a normal distribution, each pixel weighted by its own 1-sigma.

    The weight (not learned from) keeps pixels that are hard from being given up; Seitzer et al. 2022, arXiv:2203.09168.
    """
    log_variance = log_variance.clamp(*LOG_VARIANCE)
    likelihood = 0.5 * ((target - value) ** 2 * torch.exp(-log_variance) + log_variance)
    return (torch.exp(0.5 * log_variance).detach() * likelihood).mean()


def errors_over_sigma(answer: Tensor, target: Tensor) -> NDArray[np.float64]:
    """Return some pixels' errors over the 1-sigma of an answer (2, h, w) to a target (h, w)."""
    value, log_variance = answer.numpy()
    ratio = (value - target.numpy()) / sigma_of(log_variance)
    return np.asarray(ratio[::EVERY, ::EVERY].ravel(), float)


def sigma_factor(errors: NDArray[np.float64]) -> tuple[float, float]:
    """Return (a, 0): times a, 1 and 2 sigma hold for as many of the errors over 1-sigma as one factor can bring about.

    It is the mean of the factors for each.
    """
    if not len(errors):
        return 1.0, 0.0
    one, two = np.quantile(np.abs(errors), WITHIN)
    return float(one + two / 2) / 2, 0.0
