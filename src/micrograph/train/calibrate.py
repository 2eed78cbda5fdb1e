"""After training: scores that are probabilities, and the borders of the training domain. On fresh samples only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from micrograph.nets import NetSpec
from micrograph.train.calibrate_images import errors_over_sigma, sigma_factor
from micrograph.train.feed import Examples

#: A peak counts as right within this distance (nm) of a site.
RADIUS_NM = 0.05
#: Share of the training domain that lies inside its border.
INSIDE = 0.995
#: Fewest pixels that must belong to sites before an image says something of the domain.
_LEAST_TARGET = 20.0


@dataclass(frozen=True)
class Calibration:
    """What fresh samples tell of a network.

    domain: its statistics ('domain.*' tensors), none of a network that answers with images, whose 1-sigma tells its
    doubts, unless its specification asks for them; confidence: per spots head (a, b) of ``p = sigmoid(a logit + b)``,
    per image head (factor of 1-sigma, 0), per answer of an encoder a temperature or the factor of 1-sigma;
    position_sigma_nm: per spots head the robust 1-sigma, per axis, of a peak's place in the map.
    """

    domain: dict[str, Tensor]
    confidence: Mapping[str, tuple[float, float] | float]
    position_sigma_nm: dict[str, float]


@torch.no_grad()
def calibrate(net: nn.Module, spec: NetSpec, fresh: Examples, count: int) -> Calibration:
    """Return how far the answers of `net` on `count` fresh examples can be trusted."""
    device = next(net.parameters()).device
    embeddings: list[NDArray[np.float64]] = []
    logits: dict[str, list[NDArray[np.float64]]] = {}
    hits: dict[str, list[NDArray[np.bool_]]] = {}
    off: dict[str, list[NDArray[np.float64]]] = {head.name: [np.zeros(0)] for head in spec.heads}
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for item in range(count):
        image, targets = fresh[item]
        answer, embedding = net(image[None].to(device))
        if spec.knows_its_own or (not spec.restores and float(targets.sum()) > _LEAST_TARGET):
            embeddings.append(embedding[0].cpu().numpy().astype(float))
        for number, (channel, head) in enumerate(zip(spec.first, spec.heads, strict=True)):
            if head.kind == "image":
                seen = errors_over_sigma(answer[0, channel : channel + 2].cpu(), targets[number])
                errors.setdefault(head.name, []).append(seen)
            if head.kind == "spots" and spec.pixel_nm is not None:
                found, right = _peaks(answer[0, channel].cpu(), targets[number], RADIUS_NM / spec.spot_nm)
                logits.setdefault(head.name, []).append(found)
                hits.setdefault(head.name, []).append(right)
                off[head.name].append(_offsets(answer[0, channel].cpu(), targets[number], spec.spot_nm / spec.pixel_nm))
    confidence = {name: platt(np.concatenate(logits[name]), np.concatenate(hits[name])) for name in logits}
    confidence |= {name: sigma_factor(np.concatenate(found)) for name, found in errors.items()}
    sigma = {name: _robust(np.concatenate(off[name])) * (spec.pixel_nm or 1.0) for name in logits}
    domain = domain_statistics(np.array(embeddings)) if embeddings else {}
    return Calibration(domain, confidence, sigma)


def _peaks(logits: Tensor, target: Tensor, sigmas: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the logits of the local maxima of (h, w) and whether a target spot's centre is within `sigmas` of each."""
    top = functional.max_pool2d(logits[None, None], 3, 1, 1)[0, 0]
    peak = (logits == top) & (logits > -4.0)
    near = target[peak] >= float(np.exp(-0.5 * sigmas**2))
    return logits[peak].numpy().astype(float), near.numpy()


def _offsets(logits: Tensor, target: Tensor, sigma_px: float) -> NDArray[np.float64]:
    """Return how far, in pixels along y and x, the peaks of the map lie from the spots of the target under them."""
    inner = (slice(1, -1), slice(1, -1))
    top = functional.max_pool2d(logits[None, None], 3, 1, 1)[0, 0]
    rows, columns = torch.nonzero(((logits == top) & (logits > 0) & (target > 0.5))[inner], as_tuple=True)
    height, spots = functional.logsigmoid(logits), torch.log(target.clamp_min(1e-6))
    found = []
    for dy, dx in ((1, 0), (0, 1)):
        after, before = ((rows + 1 + s * dy, columns + 1 + s * dx) for s in (1, -1))
        bend = height[after] + height[before] - 2 * height[rows + 1, columns + 1]
        seen = 0.5 * (height[before] - height[after]) / bend.clamp(max=-1e-6)
        found.append(seen - 0.5 * sigma_px**2 * (spots[after] - spots[before]))
    return torch.cat(found).numpy().astype(float)


def _robust(values: NDArray[np.float64]) -> float:
    """Return the 1-sigma of most values, NaN for none."""
    return float(1.4826 * np.median(np.abs(values))) if len(values) else float("nan")


def platt(logits: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit ``p = sigmoid(a logit + b)`` by maximum likelihood with a weak pull to (1, 0)."""
    from scipy.optimize import minimize

    if len(logits) == 0:
        return 1.0, 0.0

    def cost(ab: NDArray[np.float64]) -> float:
        z = ab[0] * logits + ab[1]
        return float(np.sum(np.logaddexp(0, z) - hits * z) + (ab[0] - 1) ** 2 + ab[1] ** 2)

    a, b = minimize(cost, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(max(a, 0.05)), float(b)


def domain_statistics(embeddings: NDArray[np.float64]) -> dict[str, Tensor]:
    """Return mean (D,), whitening matrix (D, D) and border of the Mahalanobis distance of embeddings (N, D).

    Lee et al. 2018, arXiv:1807.03888; the covariance is shrunk towards its diagonal.
    """
    mean = embeddings.mean(axis=0)
    centred = embeddings - mean
    covariance = centred.T @ centred / max(len(embeddings) - 1, 1)
    shrunk = 0.9 * covariance + 0.1 * np.diag(np.diag(covariance)) + 1e-8 * np.eye(len(mean))
    values, vectors = np.linalg.eigh(shrunk)
    whitening = vectors / np.sqrt(values)
    distance = np.linalg.norm(centred @ whitening, axis=1)
    parts = {"mean": mean, "whitening": whitening, "border": np.array([np.quantile(distance, INSIDE)])}
    return {f"domain.{name}": torch.from_numpy(part).float() for name, part in parts.items()}
