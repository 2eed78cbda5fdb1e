"""A noisy recording to its denoised frames: the network that foretells pixels, trained on the recording itself."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, Prediction, Recording
from micrograph.core.provenance import digest, versions
from micrograph.features.columns.noise import NoiseModel
from micrograph.features.restoring.residual import Residual, Whiteness, examine, whiteness
from micrograph.features.restoring.stabilised import Stabiliser, estimate_noise, filled, noise_of_pair
from micrograph.nets.blind_spec import BlindSpec

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint
    from micrograph.nets.blind import BlindNet
    from micrograph.train.blind_spot import Views

Array = NDArray[np.float32]
Progress = Callable[[int, int, str], object]
#: What the denoised image is called among the maps.
DENOISED = "denoised"
#: Side of the stretches of an image that go through the network at once, and their rim (pixels).
_TILE, _RIM = 512, 64
#: Frames that are looked at before anything is learned; values that are held to learn from.
_LOOKED, _VIEWS, _HELD = 6, 24, 2**25
#: Neighbouring frames whose images, without noise, are less alike than this show something else.
_ALIKE = 0.6
#: Least side of an image in pixels.
_LEAST = 16


@dataclass(frozen=True)
class Plan:
    """How a recording is denoised: its noise, and what a pixel is foretold from.

    own: the other pixels of its frame; others: the neighbouring frames; alike: correlation of neighbouring frames
    without their noise (NaN for one frame); notes: what the user must know.
    """

    noise: NoiseModel
    stabiliser: Stabiliser
    own: bool
    others: bool
    alike: float
    white: Whiteness
    notes: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        """The mode's name."""
        return "frames" if self.others else "blind-spot"


@dataclass(frozen=True)
class Restorer:
    """Frames to `Prediction.maps` 'denoised' with its 1-sigma, in the recording's own units.

    `values`: 'noise' (gain, variance at no counts), 'residual' (scatter, likeness, correlation along y and x), 'white'
    (evenness, rows, columns), 'alike' of neighbouring frames, 'others' (1 where these were used). `doubt` multiplies
    the variances that the network states.
    """

    net: BlindNet
    plan: Plan
    recording: Recording
    digest: str
    card: Mapping[str, Any] = field(default_factory=dict)
    doubt: float = 1.0

    def __call__(self, frame: Frame) -> Prediction:
        """Return the denoised frame."""
        image, plan = filled(frame.data), self.plan
        stack = self._stack(frame)
        mean, variance = self._foretold(stack)
        joined, left = mean, variance
        if self.net.spec.blind:  # the pixel's own value, of variance 1, is news
            left = np.asarray(variance / (1 + variance), np.float32)
            joined = mean + (stack[len(stack) // 2] - mean) * left
        denoised = plan.stabiliser.back(joined, left)
        denoised += np.float32(image.mean(dtype=np.float64) - denoised.mean(dtype=np.float64))
        sigma = plan.stabiliser.slope(joined) * np.sqrt(left)
        residual = self._examined(image, mean, variance)
        values = {
            "noise": np.array([plan.noise.gain, plan.noise.readout_variance]),
            "residual": np.array([residual.scatter, residual.likeness, residual.along_y, residual.along_x]),
            "white": np.array([plan.white.evenness, plan.white.rows, plan.white.columns]),
            "alike": np.array(plan.alike),
            "others": np.array(float(plan.others)),
        }
        notes = (*plan.notes, *filter(None, [residual.said]))
        return Prediction(
            frame=frame,
            maps={DENOISED: denoised},
            sigma={DENOISED: np.asarray(sigma, np.float32)},
            pixel_nm=frame.calibration.pixel_nm or 1.0,
            flags=Flag.LOW_CONFIDENCE if notes else Flag.OK,
            notes=notes,
            values=values,
        )

    def _examined(self, image: Array, mean: Array, variance: Array) -> Residual:
        """Return what the frame differs by from what was foretold of it: noise, and the network's own doubt.

        The pixel's own value is left out, as its noise would be alike in both.
        """
        stabiliser = self.plan.stabiliser
        foretold = stabiliser.back(mean, variance)
        return examine(image, foretold, self.plan.noise.variance(foretold) + stabiliser.slope(mean) ** 2 * variance)

    def bytes_per_frame(self, shape: tuple[int, int], pixel_nm: float | None) -> int:
        """Return about how many bytes one more frame takes."""
        whole, tile = shape[0] * shape[1], min(shape[0] * shape[1], (_TILE + 2 * _RIM) ** 2)
        return 4 * (16 * whole + 8 * self.net.spec.widths[0] * tile)

    def _stack(self, frame: Frame) -> Array:
        """Return the stabilised frame (F, H, W) with its neighbours, where these are used."""
        count = self.net.spec.frames
        stack = np.zeros((count, *frame.data.shape), np.float32)
        stack[count // 2] = self.plan.stabiliser(filled(frame.data))
        if self.plan.others:
            position = self.recording.indices.index(frame.index)
            places = [place for place in range(count) if place != count // 2]
            for place, other in zip(places, neighbours(position, len(self.recording), count), strict=True):
                stack[place] = self.plan.stabiliser(filled(self.recording.frame(other).data))
        return stack

    def _foretold(self, stack: Array) -> tuple[Array, Array]:
        """Return mean and variance (H, W) of every pixel, stabilised, given all that is not hidden."""
        import torch

        from micrograph.train.blind_spot import scaled

        seen, facts, level, spread = scaled(stack, own=self.plan.own, others=self.plan.others)
        known = torch.from_numpy(facts)[None]
        shape, multiple = stack.shape[1:], self.net.spec.multiple
        mean, variance = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for top, left in itertools.product(*(range(0, n, _TILE) for n in shape)):
            y0, x0 = max(0, top - _RIM), max(0, left - _RIM)
            cut = seen[:, y0 : top + _TILE + _RIM, x0 : left + _TILE + _RIM]
            ends = [-n % multiple for n in cut.shape[1:]]
            whole = np.pad(cut, ((0, 0), (0, ends[0]), (0, ends[1])))
            with torch.inference_mode():
                found = [one[0].numpy() for one in self.net(torch.from_numpy(whole)[None], known)]
            rows, columns = slice(top, min(top + _TILE, shape[0])), slice(left, min(left + _TILE, shape[1]))
            inner = slice(top - y0, rows.stop - y0), slice(left - x0, columns.stop - x0)
            mean[rows, columns] = found[0][inner] * np.float32(spread) + np.float32(level)
            variance[rows, columns] = np.exp(found[1][inner]) * np.float32(self.doubt)
        return mean, variance


def neighbours(position: int, length: int, count: int) -> list[int]:
    """Return the positions of the ``count - 1`` nearest other frames, in order, repeated where there are too few."""
    around = range(max(0, position - count), min(length, position + count + 1))
    nearest = sorted((other for other in around if other != position), key=lambda other: abs(other - position))
    return sorted((nearest * count)[: count - 1])


@dataclass(frozen=True)
class Denoiser:
    """Learn the image from its own noise; seconds to minutes on a processor.

    mode: 'blind-spot' foretells a pixel from the others of its frame, 'frames' from the neighbouring frames as well;
    'auto' takes the latter where neighbouring frames show the same. steps: of the training on the recording, twice as
    many where other frames are used; start: the model of a recording of the same kind to begin from (a
    ``model.safetensors``; with ``steps=0`` it is taken as it is), or 'none'.
    """

    mode: Literal["auto", "blind-spot", "frames"] = "auto"
    steps: int = 120
    start: str = "none"
    seed: int = 0
    patch: int = field(default=64, metadata={"setting": False})
    batch: int = field(default=4, metadata={"setting": False})

    def __post_init__(self) -> None:
        """Refuse a training that cannot be."""
        if self.steps < 0:
            raise ValueError(f"steps is {self.steps}: it must be 0 or more.")
        if self.steps == 0 and self.start == "none":
            raise ValueError("without steps and without weights to begin from nothing is known.")

    def taught(
        self, recording: Recording, weights: Path, card: Mapping[str, Any], progress: Progress | None = None
    ) -> Restorer:
        """Return the network trained on `recording` and kept in `weights`, or found there with the same card."""
        from micrograph.nets import Checkpoint, load, read_card, save
        from micrograph.nets.blind import BlindNet
        from micrograph.train.blind_spot import doubt_factor

        plan = self.plan(recording)
        if weights.exists() and read_card(weights).get("learned_from") == card.get("learned_from"):
            kept = load(weights)
            return self._restorer(kept, plan, recording, digest(weights), float(kept.card["doubt"]))
        begun = None if self.start == "none" else load(self.start)
        if self.steps == 0 and begun is not None:
            net = _network(begun)
            doubt = doubt_factor(net, self._views(recording, plan), learned=False)
            return self._restorer(begun, plan, recording, _digest_of(begun), doubt)
        import torch

        torch.manual_seed(self.seed)
        net = BlindNet(BlindSpec() if begun is None else _blind(begun.spec))
        net.begin(others=plan.others)
        if begun is not None:
            net.load_state_dict(begun.part("net"))
        views = self._views(recording, plan)
        steps = 2 * self.steps if plan.others else self.steps
        loss = self._trained(net, views, steps, weights, progress)
        doubt = doubt_factor(net, views, learned=True)
        state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
        told = {"steps": steps, "start": self.start, "mode": plan.mode, "loss": loss}
        facts = {**card, "training": told, "doubt": doubt, "versions": versions()}
        checkpoint = Checkpoint(net.spec, state, facts)
        save(weights, checkpoint)
        weights.with_suffix(".ckpt").unlink(missing_ok=True)
        return self._restorer(checkpoint, plan, recording, digest(weights), doubt)

    def _trained(self, net: BlindNet, views: Views, steps: int, weights: Path, progress: Progress | None) -> float:
        from micrograph.train.blind_spot import BlindSettings, from_recording, learn

        rate = BlindSettings.learning_rate * (1.0 if self.start == "none" else 0.4)
        least = min(min(stack.shape[1:]) for stack in views.stacks) // net.spec.multiple * net.spec.multiple
        settings = BlindSettings(steps, self.batch, min(self.patch, least), rate, self.seed)

        def show(done: int, total: int, loss: float) -> None:
            if progress is not None:
                progress(done, total, f"learning from this recording, loss {loss:.4f}")

        return learn(net, from_recording(views, settings), settings, weights.with_suffix(".ckpt"), show)

    def _restorer(self, found: Checkpoint, plan: Plan, recording: Recording, said: str, doubt: float) -> Restorer:
        key = hashlib.sha256(f"{said} {plan.mode} {plan.noise}".encode()).hexdigest()
        return Restorer(_network(found), plan, recording, key, found.card, doubt)

    def plan(self, recording: Recording) -> Plan:
        """Return how `recording` is to be denoised; raises `BadInput` for one that shows nothing, or too little."""
        if min(recording.shape[-2:]) < _LEAST:
            raise BadInput(
                f"The image has {recording.shape[-2]} x {recording.shape[-1]} pixels: at least {_LEAST} a side are "
                "needed to tell an image from its noise."
            )
        if self.mode == "frames" and len(recording) < 2:
            raise BadInput("Setting mode is 'frames', but the recording has one frame: leave it out.")
        looked = _looked_at(recording)
        if not looked:
            raise BadInput(f"The recording '{recording.name}' shows nothing: all frames looked at are empty or even.")
        noise = _mean_noise([estimate_noise(first) for first, _ in looked])
        pairs = [(first, other) for first, other in looked if other is not None]
        white = whiteness(looked[0][0])
        alike = float(np.median([_alike(*pair, noise, white.lines) for pair in pairs])) if pairs else np.nan
        others = bool(pairs) and (self.mode == "frames" or (self.mode == "auto" and alike >= _ALIKE))
        if others and white.said:  # the difference of two frames holds noise alone
            white = whiteness(pairs[0][0] - pairs[0][1])
        notes = (white.said,) if white.said else ()
        own = not (others and notes)
        if not own:
            noise = _mean_noise([noise_of_pair(*pair) for pair in pairs])
            notes = ("The noise is alike in neighbouring pixels: pixels were foretold from the other frames alone.",)
        return Plan(noise, Stabiliser.of(noise, looked[0][0]), own, others, alike, white, notes)

    def _views(self, recording: Recording, plan: Plan) -> Views:
        """Return stretches of frames to learn from, evenly over the recording, as many as may be held."""
        from micrograph.train.blind_spot import Views

        count = BlindSpec().frames
        chosen = np.unique(np.linspace(0, len(recording) - 1, min(len(recording), _VIEWS)).astype(int))
        side = max(128, int(np.sqrt(_HELD / len(chosen) / (count if plan.others else 1))))
        rng = np.random.default_rng([self.seed, 1])
        stacks = []
        for position in map(int, chosen):
            frame = recording.frame(position)
            if not _shows(frame.data):
                continue
            top, left = (int(rng.integers(max(1, n - side + 1))) for n in frame.data.shape)
            around = neighbours(position, len(recording), count) if plan.others else []
            read = {place: recording.frame(place).data for place in {*around, position}}
            order = [*around[: count // 2], position, *around[count // 2 :]]
            part = slice(top, top + side), slice(left, left + side)
            cut = {place: plan.stabiliser(filled(data[part])) for place, data in read.items()}
            stacks.append(np.stack([cut[place] for place in order]))
        if not plan.others:
            stacks = [_alone(stack[0], count) for stack in stacks]
        return Views(tuple(stacks), plan.own, plan.others, plan.stabiliser.variance)


def _alone(image: Array, count: int) -> Array:
    """Return a frame among empty ones."""
    stack = np.zeros((count, *image.shape), np.float32)
    stack[count // 2] = image
    return stack


def _network(found: Checkpoint) -> BlindNet:
    """Return the network of a checkpoint, ready to foretell."""
    import torch

    from micrograph.nets.blind import BlindNet

    net = BlindNet(_blind(found.spec))
    net.load_state_dict(found.part("net"))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)


def _blind(spec: object) -> BlindSpec:
    if not isinstance(spec, BlindSpec):
        raise BadInput("The weights to begin from are none that denoise: give those of 'denoise', or start=none.")
    return spec


def _digest_of(checkpoint: Checkpoint) -> str:
    sha = hashlib.sha256()
    for name in sorted(checkpoint.state):
        sha.update(checkpoint.state[name].numpy().tobytes())
    return sha.hexdigest()


def _shows(image: NDArray[Any]) -> bool:
    finite = image[np.isfinite(image)]
    return finite.size > 0 and bool(finite.min() < finite.max())


def _looked_at(recording: Recording) -> list[tuple[Array, Array | None]]:
    """Return a few frames, evenly over the recording, each with the next one where there is one; those that show."""
    length = len(recording)
    chosen = np.unique(np.linspace(0, max(length - 2, 0), min(length, _LOOKED)).astype(int))
    found: list[tuple[Array, Array | None]] = []
    for position in map(int, chosen):
        first = recording.frame(position).data
        other = recording.frame(position + 1).data if position + 1 < length else None
        if _shows(first) and (other is None or _shows(other)):
            found.append((filled(first), None if other is None else filled(other)))
    return found


def _mean_noise(found: list[NoiseModel]) -> NoiseModel:
    gain, offset = (float(np.median([getattr(one, name) for one in found])) for name in ("gain", "readout_variance"))
    return replace(found[0], gain=gain, readout_variance=offset)


def _alike(first: Array, second: Array, noise_model: NoiseModel, lines: bool) -> float:
    """Return the correlation of two frames without their noise: of smoothed images, the noise's share taken off.

    Where whole lines jump, rows and columns are taken off first.
    """
    from scipy.ndimage import gaussian_filter

    sigma, stabiliser = 1.5, Stabiliser.of(noise_model, first)
    a, b = (gaussian_filter(stabiliser(one), sigma) for one in (first, second))
    a, b = a - a.mean(), b - b.mean()
    if lines:
        a, b = (one - one.mean(axis=0) - one.mean(axis=1, keepdims=True) for one in (a, b))
    noise = 1 / (4 * np.pi * sigma**2)
    power = float((a**2).mean() + (b**2).mean()) / 2 - noise
    return float(np.clip((a * b).mean() / power, -1, 1)) if power > 0.05 * noise else 1.0
