"""Training of the decoder of coded movies (`nets.unrolled`) on scenes that are drawn as it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from micrograph.core.provenance import versions, whole
from micrograph.io.coding import KINDS, make_masks
from micrograph.nets import Checkpoint, find_weights, read_card, save
from micrograph.nets.gap_tv import Sides, gap_tv
from micrograph.nets.unrolled import Coded, Unrolled, load_unrolled
from micrograph.nets.unrolled_spec import UnrolledSpec

#: Called with (step, steps, running loss).
Progress = Callable[[int, int, float], None]
#: Places in time at which a neighbouring block is drawn.
_BESIDE = 5


@dataclass(frozen=True)
class CodedTraining:
    """How to train. `stages`: shares of the steps after which one more stage is unrolled; same seed, same samples."""

    steps: int = 1400
    blocks: int = 2
    seed: int = 0
    learning_rate: float = 2e-3
    begins: tuple[float, ...] = (0.0, 0.6)
    frames: tuple[int, int] = (6, 32)
    checkpoint_every: int = 100


class Scenes(Protocol):
    """What draws short noise-free movies; see `simulate.coding_scenes`."""

    @property
    def side_px(self) -> int:
        """Side of the frames."""
        ...

    @property
    def electrons(self) -> tuple[float, float]:
        """Range of the mean electrons a pixel."""
        ...

    def draw(self, rng: np.random.Generator, times: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the movie (T, H, W) in electrons at `times`, in units of a block's length."""
        ...


@dataclass(frozen=True)
class Example:
    """Blocks in units of the raw noise and their clean frames (N, B, H, W)."""

    coded: Coded
    clean: Tensor


def train_decoder(
    out: Path,
    scenes: Scenes,
    settings: CodedTraining,
    spec: UnrolledSpec | None = None,
    *,
    begin_from: str | Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> Checkpoint:
    """Train a decoder and return it, written to `out` with its card; an interrupted training goes on from ``out.ckpt``.

    It begins as `begin_from`, weights by name or path, or at random.
    """
    torch.manual_seed(settings.seed)
    net = Unrolled(spec or UnrolledSpec()) if begin_from is None else load_unrolled(begin_from)[0].requires_grad_(True)
    net.train()
    average = Unrolled(net.spec)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.Adam(net.parameters(), settings.learning_rate)
    kept, first, loss = out.with_suffix(".ckpt"), 0, math.nan
    if resume and kept.exists():
        state = torch.load(kept, weights_only=True)
        if state["settings"] == repr((net.spec, settings)):
            net.load_state_dict(state["net"])
            average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
            first = int(state["step"])
    for step in range(first, settings.steps):
        done = step / settings.steps
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _schedule(done)
        stages = min(sum(done >= begin for begin in settings.begins), net.spec.stages)
        value = _learn(net, optimiser, example(scenes, settings, step), stages)
        loss = value if math.isnan(loss) else 0.98 * loss + 0.02 * value
        _follow(average, net, min(0.995, 1 - 1 / (1 + step)))
        if progress is not None:
            progress(step + 1, settings.steps, loss)
        if (step + 1) % settings.checkpoint_every == 0:
            state = {"settings": repr((net.spec, settings)), "step": step + 1, "net": net.state_dict()}
            state |= {"average": average.state_dict(), "optimiser": optimiser.state_dict()}
            with whole(kept) as temporary:
                torch.save(state, temporary)
    training = {**asdict(settings), "loss": loss, "begin_from": None if begin_from is None else Path(begin_from).stem}
    if begin_from is not None:
        training["before"] = read_card(find_weights(begin_from)).get("training")
    checkpoint = Checkpoint(
        net.spec,
        {f"net.{key}": tensor for key, tensor in average.state_dict().items()},
        {
            "recipe": "compressed-movie",
            "domain": {"electrons a pixel": scenes.electrons, "frames in one": settings.frames},
            "training": training,
            "versions": versions(),
        },
    )
    save(out, checkpoint)
    kept.unlink(missing_ok=True)
    return checkpoint


def _learn(net: Unrolled, optimiser: torch.optim.Optimizer, seen: Example, stages: int) -> float:
    found, log_variance = net(seen.coded, stages)
    errors = [((one - seen.clean) ** 2).mean((1, 2, 3)) for one in found]
    scores = [torch.log(error + 1e-3).mean() for error in errors]
    square = ((found[-1] - seen.clean) ** 2).detach()
    doubt = (square.clamp_max(50) * torch.exp(-log_variance) + log_variance).mean()
    loss = scores[-1] + 0.3 * sum(scores[:-1]) + 0.05 * doubt
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(scores[-1].detach())


def example(scenes: Scenes, settings: CodedTraining, step: int) -> Example:
    """Return the blocks of a step; they follow from seed and step alone."""
    rng = np.random.default_rng([settings.seed, step])
    frames = int(rng.integers(settings.frames[0], settings.frames[1] + 1))
    parts = [_block(scenes, frames, rng) for _ in range(settings.blocks)]
    total, masks, sides, noise, start, clean = (
        torch.from_numpy(np.stack([part[name] for part in parts]).astype(np.float32))
        for name in ("total", "masks", "sides", "noise", "start", "clean")
    )
    return Example(Coded(total, masks, sides, noise, start), clean)


def _block(scenes: Scenes, frames: int, rng: np.random.Generator) -> dict[str, NDArray[np.floating]]:
    own = (np.arange(frames) + 0.5) / frames
    beside = (np.arange(_BESIDE) + 0.5) / _BESIDE
    movie = scenes.draw(rng, np.concatenate([beside - 1, own, beside + 1]))
    before, clean, after = np.split(movie, [_BESIDE, _BESIDE + frames])
    shape = (scenes.side_px, scenes.side_px)
    kind = str(rng.choice(KINDS, p=(0.6, 0.2, 0.2)))
    masks = make_masks(kind, int(rng.integers(2**31)), frames, shape).astype(np.float32)
    blur = float(rng.uniform(0, 0.16)) if rng.random() < 0.5 else 0.0
    read = float(rng.uniform(0, 1.5)) if rng.random() < 0.3 else 0.0
    raw = _transferred(rng.poisson(clean).astype(np.float32), blur)
    if read:
        raw = raw + rng.normal(0, read, raw.shape).astype(np.float32)
    clean = _transferred(clean, blur)
    factor = ((1 - 2 * blur) ** 2 + 2 * blur**2) ** 2
    gain, floor = factor, read**2
    count = masks.sum(0)
    total = (masks * raw).sum(0)
    total += rng.uniform(-0.5, 0.5, shape) * np.sqrt(gain * np.maximum(total, 0) + count * floor + 0.4)
    mean = float(total.sum() / count.sum())
    unit = np.sqrt(gain * mean + floor)
    level = total / count
    sides = np.zeros((2, *shape), np.float32)
    for number, part in enumerate((before, after)):
        if rng.random() < 0.75:
            open_for = max(1, frames // 2)
            expected = part.mean(0) * open_for
            side = _transferred(rng.poisson(expected)[None].astype(np.float32), blur)[0] / open_for
            side = side + rng.normal(0, max(read, 1e-6) / np.sqrt(open_for), shape)
            sides[number] = (side - level) / unit
    seen, whole = (total - count * mean) / unit, (level - mean) / unit
    earlier, later = (np.asarray(whole + side, np.float32) if side.any() else None for side in sides)
    return {
        "total": seen,
        "start": gap_tv(seen, masks.astype(np.uint8), 1.0, sides=Sides(earlier, later)),
        "masks": masks,
        "sides": sides,
        "noise": noise_map(level, gain, floor) / unit,
        "clean": (clean - mean) / unit,
    }


def noise_map(level: NDArray[np.floating], gain: float, floor: float) -> NDArray[np.floating]:
    """Return the 1-sigma (H, W) of raw pixels of about this `level`, which is smoothed, as it is noisy itself."""
    from scipy.ndimage import uniform_filter

    smooth = uniform_filter(np.asarray(level, np.float32), 5, mode="nearest")
    least = 0.02 * (gain * float(smooth.mean()) + floor) + 1e-12
    return np.asarray(np.sqrt(np.maximum(gain * smooth + floor, least)))


def _transferred(movie: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
    """Return frames (T, H, W) through a camera that hands `blur` of each pixel to each neighbour, along y and x."""
    from scipy.ndimage import correlate1d

    if blur <= 0:
        return movie
    kernel = np.array([blur, 1 - 2 * blur, blur], np.float32)
    return np.asarray(correlate1d(correlate1d(movie, kernel, axis=-1, mode="nearest"), kernel, axis=-2, mode="nearest"))


def _follow(average: Unrolled, net: Unrolled, decay: float) -> None:
    with torch.no_grad():
        for own, followed in zip(average.parameters(), net.parameters(), strict=True):
            own.lerp_(followed, 1 - decay)


def _schedule(progress: float) -> float:
    if progress < 0.04:
        return 0.05 + 0.95 * progress / 0.04
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.04) / 0.96))
