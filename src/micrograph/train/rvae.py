"""Training of the auto-encoder of `nets.rvae` on the crops of one recording, and what it says of crops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from micrograph.core import BadInput
from micrograph.nets.rvae import Posterior, Rvae
from micrograph.nets.rvae_spec import Encoded, RvaeSpec
from micrograph.train.averaging import Averages, averaged

#: Called with (step, steps, running loss).
Progress = Callable[[int, int, float], None]
#: Weight of the hint with which the first latent begins.
_HINT = 10.0
#: Fewest crops from which anything is learned; crops encoded at once.
FEWEST, _AT_ONCE = 50, 2048


@dataclass(frozen=True)
class RvaeSettings:
    """How to train. Everything random follows from `seed`.

    free_nats: information that each content latent may carry at no cost, against collapse; warm_up: share of the steps
    over which the cost of information rises; ordered: share of crops that must do without the later content latents,
    so that the first one carries most.
    """

    steps: int = 1000
    batch: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    warm_up: float = 0.3
    free_nats: float = 0.05
    ordered: float = 0.3


def train_rvae(
    crops: NDArray[np.float32], spec: RvaeSpec, settings: RvaeSettings, progress: Progress | None = None
) -> Rvae:
    """Return the auto-encoder of `spec`, trained on `crops` (N, size, size), centred on an object each.

    Crops' brightness must be comparable from one to the other. The network has fewer classes than asked for where the
    crops do not show as many; the first is the largest. Same seed, same result on the same machine.
    """
    if crops.ndim != 3 or crops.shape[1:] != (spec.size, spec.size) or len(crops) < FEWEST:
        raise BadInput(f"Crops of shape {crops.shape} were given: at least {FEWEST} of {spec.size} pixels are needed.")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    net = Rvae(spec)
    with torch.no_grad():
        coefficients = net.harmonics(_tensor(crops))
        averages = averaged(net, coefficients, rng)
        if len(averages.share) < spec.classes:
            net = Rvae(replace(spec, classes=len(averages.share)))
        _begin(net, averages)
        _, _, laid = net.laid(coefficients)
    _learn(net, laid, settings, rng, progress)
    _settle(net.eval(), coefficients)
    return net


@torch.no_grad()
def encode(net: Rvae, crops: NDArray[np.float32]) -> Encoded:
    """Return what `net` says of `crops` (N, size, size)."""
    parts = [_encoded(net, some) for some in torch.split(net.harmonics(_tensor(crops)), _AT_ONCE)]
    values = [torch.cat(part).double().numpy() for part in zip(*parts, strict=True)]
    return Encoded(*values)


@torch.no_grad()
def traversal(net: Rvae, steps: int = 7, reach: float = 2.0) -> NDArray[np.float32]:
    """Return drawings (K, L, steps, size, size) of every class as one latent goes from -reach to reach, others at 0."""
    spec = net.spec
    content = torch.zeros(spec.latents, steps, spec.latents)
    for latent in range(spec.latents):
        content[latent, :, latent] = net.sense[latent] * torch.linspace(-reach, reach, steps)
    mean, _ = net.decode(content.reshape(-1, 1, spec.latents).expand(-1, spec.classes, -1))
    images = net.harmonics.images(net.harmonics.turned(mean, -net.zero_turn.expand(mean.shape[:2])).flatten(0, 1))
    shape = (spec.latents, steps, spec.classes, spec.size, spec.size)
    return np.ascontiguousarray(images.reshape(shape).permute(2, 0, 1, 3, 4).numpy())


def _learn(
    net: Rvae, laid: Tensor, settings: RvaeSettings, rng: np.random.Generator, progress: Progress | None
) -> None:
    optimiser = torch.optim.Adam(net.parameters(), settings.learning_rate)
    waiting, running = np.empty(0, dtype=np.intp), math.nan
    with torch.no_grad():
        hint = net.amplitude(laid)
        hint = (hint - hint.mean(0)) / hint.std(0).clamp_min(1e-6)
    for step in range(settings.steps):
        done = step / settings.steps
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _schedule(done)
        if len(waiting) < min(settings.batch, len(laid)):
            waiting = rng.permutation(len(laid))
        batch, waiting = waiting[: settings.batch], waiting[settings.batch :]
        cost = min(1.0, 0.1 + 0.9 * done / settings.warm_up)
        net.prototype.requires_grad_(done >= settings.warm_up)
        rows = torch.from_numpy(batch)
        loss = _loss(net, laid[rows], cost, settings)
        if done < settings.warm_up:
            loss = loss + (1 - done / settings.warm_up) * _misses(net, laid[rows], hint[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 50.0)
        optimiser.step()
        value = float(loss.detach())
        running = value if math.isnan(running) else 0.97 * running + 0.03 * value
        if progress is not None:
            progress(step + 1, settings.steps, running)


def _loss(net: Rvae, laid: Tensor, cost: float, settings: RvaeSettings) -> Tensor:
    """Return minus the lower bound of the log likelihood, with information at `cost` a nat."""
    belief = net.encode(laid)
    drawn = belief._replace(
        turn=_sampled(belief.turn, belief.turn_log_sigma), shift=_sampled(belief.shift, belief.shift_log_sigma)
    )
    content = _sampled(belief.content, belief.content_log_sigma)
    mask = _first_few(content, settings.ordered)
    information = net.content_divergence(belief).clamp_min(settings.free_nats) * mask
    evidence = torch.logsumexp(net.log_evidence(laid, drawn, content * mask), dim=2)
    bound = evidence - cost * (information.sum(-1) + net.pose_divergence(belief))
    return -torch.logsumexp(bound, dim=1).mean()


def _misses(net: Rvae, laid: Tensor, hint: Tensor) -> Tensor:
    """Return how far the first latent is from the `hint` (B, K) with which it begins: the amplitude of the class."""
    return _HINT * (net.encode(laid).content[..., 0] - hint).square().mean()


def _sampled(mean: Tensor, log_sigma: Tensor) -> Tensor:
    return mean + torch.exp(log_sigma) * torch.randn_like(mean)


def _first_few(content: Tensor, ordered: float) -> Tensor:
    """Return (B, 1, L): 1 for the latents that a crop may use, all of them or, for a share `ordered`, the first few."""
    count, latents = len(content), content.shape[-1]
    few = torch.randint(1, max(latents, 2), (count, 1, 1))
    most = torch.where(torch.rand(count, 1, 1) < ordered, few, latents)
    return (torch.arange(latents) < most).to(content)


def _begin(net: Rvae, averages: Averages) -> None:
    """Let the network begin at class averages: it draws them, and lays crops on them."""
    net.scale.copy_(averages.scale)
    net.prototype.copy_(averages.mean)
    variance = (averages.share[:, None] * averages.variance).sum(0) / averages.share.sum()
    net.spread.copy_(torch.log(variance) - 2 * torch.log(averages.scale))
    net.share.copy_(torch.log(averages.share))
    net.template.copy_(averages.mean / averages.variance[..., None])
    net.lattice.copy_(averages.lattice)
    net.zero_turn.copy_(averages.zero_turn)


@torch.no_grad()
def _settle(net: Rvae, crops: Tensor) -> None:
    """Let order be 1 in the five per cent most ordered crops, and rise with every latent on average."""
    _, _, laid = net.laid(crops[:_AT_ONCE])
    content = net.encode(laid).content
    mean, _ = net.decode(content)
    amplitude = (mean * net.lattice).sum((-1, -2))
    chosen = _evidence(net, laid).argmax(1, keepdim=True)
    mine = amplitude.gather(1, chosen).squeeze(1)
    latents = content[torch.arange(len(content)), chosen.squeeze(1)]
    net.lattice /= torch.quantile(mine, 0.95).clamp_min(1e-6)
    slope = ((latents - latents.mean(0)) * (mine - mine.mean())[:, None]).mean(0)
    net.sense.copy_(torch.where(slope < 0, -1.0, 1.0))


def _evidence(net: Rvae, laid: Tensor) -> Tensor:
    """Return (B, K): lower bound of the log likelihood of each class, at the means of the posterior."""
    belief = net.encode(laid)
    evidence = torch.logsumexp(net.log_evidence(laid, belief, belief.content), dim=2)
    return evidence - net.content_divergence(belief).sum(-1) - net.pose_divergence(belief)


def _encoded(net: Rvae, crops: Tensor) -> tuple[Tensor, ...]:
    """Return the fields of `Encoded` for crops (B, J, 2)."""
    own_turn, own_shift, laid = net.laid(crops)
    bound = _evidence(net, laid)
    every, best = torch.arange(len(crops)), bound.argmax(1)
    belief = net.encode(laid)
    mean, _ = net.decode(belief.content)
    mine = Posterior(*(values[every, best] for values in belief))
    turn = own_turn[every, best]
    period = 2 * math.pi / net.spec.symmetry
    return (
        torch.rad2deg((turn + mine.turn + net.zero_turn) % period),
        torch.rad2deg(torch.exp(mine.turn_log_sigma)),
        own_shift[every, best] + _turned(mine.shift, turn),
        torch.exp(mine.shift_log_sigma),
        mine.content * net.sense,
        torch.exp(mine.content_log_sigma),
        torch.softmax(bound, dim=1),
        net.order(mean[every, best]),
        torch.logsumexp(bound, dim=1),
    )


def _turned(shift: Tensor, angle: Tensor) -> Tensor:
    """Return shifts (B, 2), (y down, x), turned counter-clockwise by `angle` (B,)."""
    y, x, cos, sin = shift[:, 0], shift[:, 1], torch.cos(angle), torch.sin(angle)
    return torch.stack([y * cos - x * sin, y * sin + x * cos], dim=1)


def _schedule(done: float) -> float:
    """Learning rate relative to its peak: a short rise, then a cosine down to one per cent."""
    return min(1.0, 0.05 + 20 * done) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _tensor(crops: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops, dtype=np.float32))
