"""The one trainer: a sampler and a network specification in, a calibrated checkpoint out."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from micrograph.core import BrokenCheckpoint, Sampler
from micrograph.core.provenance import versions, whole
from micrograph.nets import Checkpoint, Encoder, EncoderSpec, NetSpec, build, load, save
from micrograph.train.calibrate import Calibration, calibrate
from micrograph.train.calibrate_images import image_loss
from micrograph.train.devices import Progress, fabric_for, relayed
from micrograph.train.encoders import EncoderExamples, calibrate_encoder, encoder_loss
from micrograph.train.feed import Examples, batches
from micrograph.train.settings import TrainSettings


def train(
    sampler: Sampler,
    spec: NetSpec | EncoderSpec,
    settings: TrainSettings,
    out: Path,
    *,
    resume: bool = True,
    progress: Progress | None = None,
    card: Mapping[str, Any] | None = None,
    begin_from: str | Path | None = None,
) -> Checkpoint:
    """Train a U-Net or an encoder on samples of `sampler` and write weights and card to `out` (.safetensors).

    The network begins as `begin_from`, weights by name or path whose body is as wide and deep (heads of the same name
    are kept, others begin anew), or at random. An interrupted training goes on from ``out.ckpt`` when `resume` is set
    and the settings are the same. Several devices share every batch, each in a process of its own: a script that trains
    so must stand below ``if __name__ == "__main__":``. Afterwards the confidence is calibrated and the out-of-domain
    statistics are taken, both on fresh samples.
    """
    lesson = _Lesson(sampler, spec, settings, out, resume, card or {}, begin_from)
    fabric = fabric_for(settings)
    if settings.devices == 1:
        lesson.learned(progress, fabric)
    else:
        with relayed(progress) as tell:
            fabric.launch(functools.partial(lesson.learned, tell))
    return load(out)


@dataclass(frozen=True)
class _Lesson:
    """All that one training is told; with several devices it goes to a process for each."""

    sampler: Sampler
    spec: NetSpec | EncoderSpec
    settings: TrainSettings
    out: Path
    resume: bool
    card: Mapping[str, Any]
    begin_from: str | Path | None

    def learned(self, progress: Progress | None, fabric: Any) -> None:
        """Train; the first of the devices follows, keeps, tells, calibrates and writes."""
        settings, kept, first = self.settings, self.out.with_suffix(".ckpt"), fabric.is_global_zero
        torch.manual_seed(settings.seed)
        older = None if self.begin_from is None else load(self.begin_from)
        run = _Run.begin(fabric, self.spec, settings, older)
        if self.resume:
            run.restore(kept)
        fabric.barrier()  # nobody writes before all have read
        loss = math.nan
        for batch in self.batches(run.step, (fabric.global_rank, fabric.world_size)):
            value = run.learn(batch)
            loss = value if math.isnan(loss) else 0.98 * loss + 0.02 * value
            if first and progress is not None:
                progress(run.step, settings.steps, loss)
            if first and run.step % settings.checkpoint_every == 0:
                run.keep(kept)
        if first:
            run.keep(kept)
            save(self.out, self.checkpoint(run.average, loss, older))
            kept.unlink(missing_ok=True)

    def batches(self, first: int, part: tuple[int, int]) -> Iterable[Sequence[Tensor]]:
        """Return the batches from number `first` on, of each the share of device `part` (number, of how many)."""
        settings, spec = self.settings, self.spec
        if isinstance(spec, EncoderSpec):
            examples: Any = EncoderExamples(self.sampler, spec, settings.seed, settings.reuse, settings.mirrored)
        else:
            examples = Examples(self.sampler, spec, spec.patch, settings.seed, settings.reuse)
        return batches(examples, range(first, settings.steps), settings.batch, settings.workers, part)

    def checkpoint(self, net: nn.Module, loss: float, older: Checkpoint | None) -> Checkpoint:
        """Return the trained network with what samples that it has not seen tell of it."""
        found = _calibrated(net, self.spec, self.sampler, self.settings)
        begun = None if self.begin_from is None else Path(self.begin_from).stem
        training = {**asdict(self.settings), "loss": loss, "begin_from": begun}
        if older is not None:
            training["before"] = older.card.get("training")
        return Checkpoint(
            self.spec,
            {f"net.{key}": tensor for key, tensor in net.state_dict().items()} | found.domain,
            {
                **self.card,
                "confidence": found.confidence,
                "position_sigma_nm": found.position_sigma_nm,
                "training": training,
                "versions": versions(),
            },
        )


def _calibrated(net: nn.Module, spec: NetSpec | EncoderSpec, sampler: Sampler, settings: TrainSettings) -> Calibration:
    """Return what samples that the training has not seen tell of `net`."""
    seed, count = settings.seed + 1_000_003, settings.calibration_samples
    if isinstance(spec, EncoderSpec):
        return calibrate_encoder(net, spec, EncoderExamples(sampler, spec, seed, 1), count)
    # Features near a border are others: what is said of whole images is taken from larger patches.
    patch = spec.patch * (2 if spec.knows_its_own else 1)
    return calibrate(net, spec, Examples(sampler, spec, patch, seed, 1), count)


def _network(spec: NetSpec | EncoderSpec) -> nn.Module:
    return Encoder(spec) if isinstance(spec, EncoderSpec) else build(spec)


def _loss(net: nn.Module, batch: Sequence[Tensor], spec: NetSpec | EncoderSpec) -> Tensor:
    if isinstance(spec, EncoderSpec):
        return encoder_loss(net, batch, spec)
    image, targets = batch
    logits, _ = net(image.contiguous(memory_format=torch.channels_last))
    return loss_of(logits.float(), targets, spec)


def loss_of(logits: Tensor, targets: Tensor, spec: NetSpec) -> Tensor:
    """Binary cross-entropy; on spots the bright pixels weigh up to five times as much. Images: their likelihood.

    Where a target is negative, nobody knows: there the answer costs nothing.
    """
    total = logits.new_zeros(())
    for number, (channel, head) in enumerate(zip(spec.first, spec.heads, strict=True)):
        target = targets[:, number]
        if head.kind == "image":
            total = total + image_loss(logits[:, channel], logits[:, channel + 1], target)
            continue
        weight = 1 + 4 * target if head.kind == "spots" else 0.3 * (target >= 0).to(target)
        total = total + functional.binary_cross_entropy_with_logits(logits[:, channel], target, weight)
    return total


@dataclass
class _Run:
    """The moving parts of one training: network, its running average, optimiser, step."""

    spec: NetSpec | EncoderSpec
    settings: TrainSettings
    fabric: Any
    net: Any
    average: nn.Module
    optimiser: Any
    step: int = 0

    @staticmethod
    def begin(fabric: Any, spec: NetSpec | EncoderSpec, settings: TrainSettings, older: Checkpoint | None) -> _Run:
        net: Any = _network(spec)
        if older is not None:
            net.load_state_dict(_inherited(net.state_dict(), spec, older))
        net = net.to(memory_format=torch.channels_last)
        average = _network(spec)
        average.load_state_dict(net.state_dict())
        optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        net, optimiser = fabric.setup(net, optimiser)
        return _Run(spec, settings, fabric, net, average.to(fabric.device).eval(), optimiser)

    def learn(self, batch: Sequence[Tensor]) -> float:
        """Take one step on a batch and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _schedule(self.step / self.settings.steps)
        loss = _loss(self.net, [self.fabric.to_device(part) for part in batch], self.spec)
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        self.fabric.clip_gradients(self.net, self.optimiser, max_norm=2.0, error_if_nonfinite=False)
        self.optimiser.step()
        self.step += 1
        if self.fabric.is_global_zero:
            self._follow(min(0.995, 1 - 1 / (1 + self.step)))
        return float(self.fabric.all_reduce(loss.detach()))

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        own, followed = self.average.state_dict(), self.net.module.state_dict()
        for key, tensor in own.items():
            if tensor.is_floating_point():
                tensor.lerp_(followed[key].to(tensor), 1 - decay)
            else:
                tensor.copy_(followed[key])

    @property
    def _same(self) -> str:
        """What must be the same for a training to go on; it may do so on more or fewer devices."""
        return repr((self.spec, replace(self.settings, devices=1)))

    def keep(self, path: Path) -> None:
        """Write all that a resumed training needs."""
        state = {
            "settings": self._same,
            "step": self.step,
            "net": self.net.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with whole(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Go on from `path` if it is there and of the same settings."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.fabric.device)
        if state["settings"] != self._same:
            return
        self.net.module.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])


def _inherited(fresh: dict[str, Tensor], spec: NetSpec | EncoderSpec, older: Checkpoint) -> dict[str, Tensor]:
    """Return the state of a network that begins as `older`; rows of a U-Net's last layer by the heads' names.

    An encoder keeps all layers of the same shape: with other answers only its last layer begins anew.
    """
    if isinstance(spec, EncoderSpec):
        state = older.part("net")
        return {key: state[key] if key in state and state[key].shape == t.shape else t for key, t in fresh.items()}
    assert isinstance(older.spec, NetSpec)
    old, new = older.spec.body, spec.body
    if old != new:
        raise BrokenCheckpoint(
            f"The weights to begin from have {_listed(old)}, the network to train {_listed(new)}: begin from weights "
            "of its own kind, or from none."
        )
    state = dict(older.part("net"))
    for name in ("head.weight", "head.bias"):
        rows = fresh[name].reshape(len(spec.heads), -1, *fresh[name].shape[1:]).clone()
        known = state[name].reshape(len(older.spec.heads), -1, *state[name].shape[1:])
        for place, head in enumerate(spec.names):
            if head in older.spec.names:
                rows[place] = known[older.spec.names.index(head)]
        state[name] = rows.flatten(0, 1)
    return state


def _listed(body: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in body.items())


def _schedule(progress: float) -> float:
    """Learning rate relative to its peak: a short linear rise, then a cosine down to one per cent."""
    if progress < 0.05:
        return 0.05 + 0.95 * progress / 0.05
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))
