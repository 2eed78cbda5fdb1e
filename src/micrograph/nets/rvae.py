"""A variational auto-encoder of crops that knows turns, shifts and the symmetry of the lattice.

After doi:10.1126/sciadv.abd5084, with these differences. A crop is a set of circular harmonics, where turning is exact.
It is first laid on a drawing of each class (any turn, small shifts), so that content never depends on orientation; the
encoder answers corrections of turn and shift, the content, and how sure it is of each. Which class and which of the n
equivalent turns made the crop is summed over: no posterior over them can collapse. The decoder also says how far crops
depart from its drawing, which is what disorder does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from micrograph.nets.harmonics import Harmonics
from micrograph.nets.rvae_spec import RvaeSpec

#: Angles over one period of the lattice at which a crop is laid on a drawing; crops laid at once.
_TRIALS, _AT_ONCE = 24, 1024
_LOG_2PI = math.log(2 * math.pi)


class Posterior(NamedTuple):
    """What the encoder believes of crops (B, K), one belief a class: means, and logs of the 1-sigmas.

    turn (B, K) radians, correction of the turn; shift (B, K, 2) pixels along y and x; content (B, K, L).
    """

    turn: Tensor
    turn_log_sigma: Tensor
    shift: Tensor
    shift_log_sigma: Tensor
    content: Tensor
    content_log_sigma: Tensor


class Rvae(nn.Module):
    """Encoder, decoder and likelihood; crops are (..., J, 2) coefficients of `harmonics`, K classes.

    `prototype` (K, J, 2) is the drawing of each class at content 0, `spread` (J,) the log of its variance in units of
    `scale` (J,); only content changes the variance, so that disorder is no class. Crops are laid on `template`
    (K, J, 2). `zero_turn` is the angle (radians) of a drawing that counts as 0, `lattice` (J, 2) what in a drawing
    counts as order, `sense` (L,) the sign with which latents are told.
    """

    template: Tensor
    lattice: Tensor
    sense: Tensor
    scale: Tensor
    zero_turn: Tensor
    real_parts: Tensor

    def __init__(self, spec: RvaeSpec) -> None:
        super().__init__()
        self.spec = spec
        self.harmonics = Harmonics(spec.size, spec.cycles)
        modes, latents, classes = len(self.harmonics.orders), spec.latents, spec.classes
        self.register_buffer("template", torch.zeros(classes, modes, 2))
        self.register_buffer("lattice", torch.zeros(modes, 2))
        self.register_buffer("sense", torch.ones(latents))
        self.register_buffer("scale", torch.ones(modes))
        self.register_buffer("zero_turn", torch.zeros(()))
        self.register_buffer("real_parts", 1 + (self.harmonics.orders > 0).float())
        self.encoder = _mlp(3 * modes + classes, spec.hidden, 2 + 1 + 2 + 2 + 2 * latents)
        self.decoder = _mlp(latents + classes, spec.hidden, 2 * modes)
        self.doubt = _mlp(latents, spec.hidden // 2, modes)
        self.prototype = nn.Parameter(torch.zeros(classes, modes, 2))
        self.spread = nn.Parameter(torch.zeros(modes))
        self.share = nn.Parameter(torch.zeros(classes))

    def poses(self, crops: Tensor, template: Tensor, period: float) -> tuple[Tensor, Tensor]:
        """Return turn (B,) in radians within `period` and shift (B, 2) in pixels at which crops fit `template` best.

        `template` (J, 2) is a drawing divided by its variance: the score is the log likelihood up to a constant.
        """
        count = round(_TRIALS * period * self.spec.symmetry / (2 * math.pi))
        turns = torch.arange(count, device=crops.device) * (period / count)
        shifts = _disc(2 * self.spec.shift_px, self.spec.shift_px / 1.5).to(crops)
        turned = self.harmonics.turned(template, turns)
        trials = self.harmonics.shifted(turned.repeat(len(shifts), 1, 1), shifts.repeat_interleave(count, dim=0))
        prior = (shifts / self.spec.shift_px).square().sum(-1)[:, None] / 2
        found = [
            _peak((some.flatten(1) @ trials.flatten(1).T).reshape(len(some), len(shifts), count) - prior)
            for some in torch.split(crops, _AT_ONCE)
        ]
        place = torch.cat([shift for shift, _ in found])
        return torch.cat([turn for _, turn in found]) * (period / count), shifts[place]

    def laid(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return turn (B, K) and shift (B, K, 2) of crops (B, J, 2) on each class's drawing, and the crops so laid."""
        poses = [self.poses(crops, template, 2 * math.pi) for template in self.template]
        turn, shift = (torch.stack(values, dim=1) for values in zip(*poses, strict=True))
        return turn, shift, self.laid_back(crops[:, None].expand(-1, len(poses), -1, -1), turn, shift)

    def laid_back(self, crops: Tensor, turn: Tensor, shift: Tensor) -> Tensor:
        """Return crops (..., J, 2) shifted back by `shift` (..., 2) and then turned back by `turn` (...)."""
        return self.harmonics.turned(self.harmonics.shifted(crops, -shift), -turn)

    def encode(self, laid: Tensor) -> Posterior:
        """Return the posterior of crops (B, K, J, 2) laid on each class's drawing."""
        relative = laid / self.scale[:, None]
        power = torch.log1p(relative.square().sum(-1))
        out = self.encoder(torch.cat([relative.flatten(2), power, self._kinds(len(laid))], dim=-1))
        heading, sure, shift, shift_sure, content, content_sure = torch.split(
            out, [2, 1, 2, 2, self.spec.latents, self.spec.latents], dim=-1
        )
        widest = math.log(math.pi / self.spec.symmetry / math.sqrt(3))
        return Posterior(
            torch.atan2(heading[..., 1], heading[..., 0] + 1.0) / self.spec.symmetry,
            (sure.squeeze(-1) - 2.5).clamp(-7.0, widest),
            shift * self.spec.shift_px,
            (shift_sure - 1.0).clamp(-6.0, 0.5) + math.log(self.spec.shift_px),
            content,
            (content_sure - 2.0).clamp(-5.0, 0.5),
        )

    def decode(self, content: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (B, K, J, 2) and log variance (B, K, J) of the coefficients at `content` (B, K, L)."""
        out = self.decoder(torch.cat([content, self._kinds(len(content))], dim=-1))
        modes = len(self.scale)
        mean = self.prototype + self.scale[:, None] * out.reshape(*out.shape[:-1], modes, 2)
        real = torch.stack([torch.ones_like(self.scale), self.real_parts - 1], dim=-1)
        return mean * real, self.spread + 2 * torch.log(self.scale) + self.doubt(content)

    def log_likelihood(self, laid: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return (B, K, n): log likelihood of laid crops (B, K, J, 2) under each of the n equivalent turns."""
        turns = torch.arange(self.spec.symmetry, device=laid.device) * (2 * math.pi / self.spec.symmetry)
        wrong = (laid[:, :, None] - self.harmonics.turned(mean[:, :, None], turns)).square().sum(-1)
        log_variance = log_variance[:, :, None]
        each = wrong * torch.exp(-log_variance) + self.real_parts * (log_variance + _LOG_2PI)
        return -0.5 * each.sum(-1)

    def log_evidence(self, laid: Tensor, posterior: Posterior, content: Tensor) -> Tensor:
        """Return (B, K, n): log of prior times likelihood at the posterior's turn and shift and at `content`."""
        exact = self.laid_back(laid, posterior.turn, posterior.shift)
        prior = torch.log_softmax(self.share, dim=0) - math.log(self.spec.symmetry)
        return self.log_likelihood(exact, *self.decode(content)) + prior[:, None]

    def amplitude(self, laid: Tensor) -> Tensor:
        """Return (B, K): how much of each class's prototype is in laid crops (B, K, J, 2); 1 is as in the prototype."""
        weight = self.prototype / self.scale[:, None].square()
        return (laid * weight).sum((-1, -2)) / (self.prototype * weight).sum((-1, -2)).clamp_min(1e-9)

    def order(self, mean: Tensor) -> Tensor:
        """Return the order (...) in 0..1 of drawings (..., J, 2): the amplitude of the lattice in them."""
        return (mean * self.lattice).sum((-1, -2)).clamp(0.0, 1.0)

    def pose_divergence(self, posterior: Posterior) -> Tensor:
        """Return KL (B, K) of turn and shift from their priors, in nats."""
        turn = _divergence(posterior.turn, posterior.turn_log_sigma, self.spec.turn_rad / self.spec.symmetry)
        return turn + _divergence(posterior.shift, posterior.shift_log_sigma, self.spec.shift_px).sum(-1)

    def content_divergence(self, posterior: Posterior) -> Tensor:
        """Return KL (B, K, L) of each content latent from its prior, in nats."""
        return _divergence(posterior.content, posterior.content_log_sigma, 1.0)

    def _kinds(self, count: int) -> Tensor:
        return torch.eye(self.spec.classes, device=self.scale.device).expand(count, -1, -1)


def _divergence(mean: Tensor, log_sigma: Tensor, prior: float) -> Tensor:
    """Return KL of a normal distribution from one around 0 of 1-sigma `prior`."""
    log_ratio = log_sigma - math.log(prior)
    return 0.5 * ((mean / prior).square() + torch.exp(2 * log_ratio) - 1.0) - log_ratio


def _peak(score: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row (B,) and the column (B,), refined by a parabola, of the largest score (B, rows, columns)."""
    count = score.shape[2]
    row = score.amax(2).argmax(1)
    there = score[torch.arange(len(score)), row]
    best = there.argmax(1, keepdim=True)
    left, middle, right = (there.gather(1, (best + step) % count) for step in (-1, 0, 1))
    fine = best + 0.5 * (left - right) / (left - 2 * middle + right).clamp_max(-1e-12)
    return row, fine.squeeze(1)


def _disc(reach: float, step: float) -> Tensor:
    """Return the points (S, 2) of a square grid of pitch `step` within `reach` of the origin."""
    axis = torch.arange(-round(reach / step), round(reach / step) + 1) * step
    points = torch.cartesian_prod(axis, axis)
    return points[points.norm(dim=1) <= reach + 1e-6]


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return two hidden layers and an output layer that begins near zero."""
    last = nn.Linear(hidden, outputs)
    nn.init.normal_(last.weight, std=0.03)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)
