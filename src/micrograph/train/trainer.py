"""The one trainer: a sampler and a network specification in, a calibrated checkpoint out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from micrograph.train.encoders import EncoderExamples, calibrate_encoder, encoder_loss
from micrograph.train.feed import Examples, batches
from micrograph.train.settings import TrainSettings

#: Called with (step, steps, running loss).
Progress = Callable[[int, int, float], None]


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
    and the settings are the same. Afterwards the confidence is calibrated and the out-of-domain statistics are taken,
    both on fresh samples.
    """
    torch.manual_seed(settings.seed)
    older = None if begin_from is None else load(begin_from)
    run = _Run.begin(spec, settings, older)
    kept = out.with_suffix(".ckpt")
    if resume:
        run.restore(kept)
    loss = math.nan
    for batch in _batches(sampler, spec, settings, run.step):
        value = run.learn(batch)
        loss = value if math.isnan(loss) else 0.98 * loss + 0.02 * value
        if progress is not None:
            progress(run.step, settings.steps, loss)
        if run.step % settings.checkpoint_every == 0:
            run.keep(kept)
    run.keep(kept)
    found = _calibrated(run.average, spec, sampler, settings)
    training = {**asdict(settings), "loss": loss, "begin_from": None if begin_from is None else Path(begin_from).stem}
    if older is not None:
        training["before"] = older.card.get("training")
    checkpoint = Checkpoint(
        spec,
        {f"net.{key}": tensor for key, tensor in run.average.state_dict().items()} | found.domain,
        {
            **(card or {}),
            "confidence": found.confidence,
            "position_sigma_nm": found.position_sigma_nm,
            "training": training,
            "versions": versions(),
        },
    )
    save(out, checkpoint)
    kept.unlink(missing_ok=True)
    return checkpoint


def _batches(
    sampler: Sampler, spec: NetSpec | EncoderSpec, settings: TrainSettings, first: int
) -> Iterable[Sequence[Tensor]]:
    """Return the batches from number `first` on."""
    if isinstance(spec, EncoderSpec):
        examples: Any = EncoderExamples(sampler, spec, settings.seed, settings.reuse, settings.mirrored)
    else:
        examples = Examples(sampler, spec, spec.patch, settings.seed, settings.reuse)
    return batches(examples, first, settings.steps, settings.batch, settings.workers)


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
    def begin(spec: NetSpec | EncoderSpec, settings: TrainSettings, older: Checkpoint | None) -> _Run:
        from lightning_fabric import Fabric

        fabric = Fabric(accelerator="auto", devices=1, precision=precision_for(settings.precision))
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
        self._follow(min(0.995, 1 - 1 / (1 + self.step)))
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        own, followed = self.average.state_dict(), self.net.module.state_dict()
        for key, tensor in own.items():
            if tensor.is_floating_point():
                tensor.lerp_(followed[key].to(tensor), 1 - decay)
            else:
                tensor.copy_(followed[key])

    def keep(self, path: Path) -> None:
        """Write all that a resumed training needs."""
        state = {
            "settings": repr((self.spec, self.settings)),
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
        if state["settings"] != repr((self.spec, self.settings)):
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
    old, new = ((one.base, one.levels, one.fold) for one in (older.spec, spec))
    if old != new:
        raise BrokenCheckpoint(
            f"The weights to begin from have base, levels, fold {old}, the network to train {new}: begin from weights "
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


def _schedule(progress: float) -> float:
    """Learning rate relative to its peak: a short linear rise, then a cosine down to one per cent."""
    if progress < 0.05:
        return 0.05 + 0.95 * progress / 0.05
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def precision_for(wish: str) -> Any:
    """Return Fabric's precision for 'auto': bf16 on GPUs and processors with bf16 arithmetic, else fp32."""
    if wish != "auto":
        return wish
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return "bf16-mixed"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16-mixed" if fast else "32-true"
