"""The predictor of encoders: a frame in, answers on the whole of it, or on each of several views of it, out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, MissingCalibration, Prediction
from micrograph.infer.at_once import in_pieces
from micrograph.infer.backends import on_gpu, openvino_core, openvino_module, openvino_options, torch_device
from micrograph.nets import Checkpoint, EncoderSpec
from micrograph.nets.encoder import Encoder, seen_by
from micrograph.nets.encoder_spec import COVARIANCE

Array = NDArray[np.float32]
#: Takes images (B, C, s, s) and known numbers (B, M), gives raw answers (B, R) and embeddings (B, D).
EncoderCompute = Callable[[Array, Array], tuple[Array, Array]]
#: Largest difference of raw answers between a back-end and PyTorch that is accepted at load.
TOLERANCE = 2e-2
#: Views that a processor computes at once.
BATCH = 64


@dataclass(frozen=True)
class Views:
    """What an encoder is to look at in one frame: images (N, H, W) or (N, C, H, W), and known numbers by name.

    `known` gives numbers that hold for all views; each may be an array (N,) instead.
    """

    images: Array
    known: Mapping[str, float | NDArray[np.float64]] = field(default_factory=dict)


#: What in a frame the encoder looks at; without one it is the whole frame, with the calibration's values as known.
View = Callable[[Frame], Views]


@dataclass(frozen=True)
class EncoderMember:
    """One encoder of an ensemble."""

    checkpoint: Checkpoint
    compute: EncoderCompute

    def __call__(self, images: Array, known: Array) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Return the calibrated answers and each view's distance from the training domain (1: its border)."""
        spec = cast(EncoderSpec, self.checkpoint.spec)
        if len(images) == 0:
            return spec.decoded(np.zeros((0, spec.outputs))), np.zeros(0)
        raw, embedding = self.compute(images, known)
        answers = spec.decoded(raw, self.checkpoint.card.get("confidence", {}))
        domain = {name: tensor.numpy() for name, tensor in self.checkpoint.part("domain").items()}
        if not domain:
            return answers, np.zeros(len(images))
        away = (embedding - domain["mean"]) @ domain["whitening"]
        return answers, np.asarray(np.linalg.norm(away, axis=1) / domain["border"][0], dtype=float)


@dataclass(frozen=True)
class EncoderPredictor:
    """Frames to `Prediction.values`, whose arrays have one row a view: (N, K) probabilities, (N, n) values.

    An ensemble's probabilities are averaged; to the covariance of its values that between the members is added.
    'domain_distance' among the values has each view's distance (N,); the prediction's own is their median.
    """

    members: tuple[EncoderMember, ...]
    digest: str
    view: View | None = None

    @property
    def spec(self) -> EncoderSpec:
        """Answers and input of the model."""
        return cast(EncoderSpec, self.members[0].checkpoint.spec)

    @property
    def card(self) -> Mapping[str, Any]:
        """Card of the (first) model."""
        return self.members[0].checkpoint.card

    def __call__(self, frame: Frame) -> Prediction:
        """Return the answers for one frame (H, W); raises `MissingCalibration` where a pixel size is needed."""
        pixel = frame.calibration.pixel_nm
        if self.spec.pixel_nm is not None and pixel is None:
            raise MissingCalibration('The pixel size is unknown: give it with --pixel-size "0.0176 nm".')
        views = whole_frame(frame) if self.view is None else self.view(frame)
        values = self.answers(views.images, views.known, pixel if self.view is None else None)
        distance = float(np.median(values["domain_distance"])) if len(views.images) else 0.0
        notes = () if distance <= 1 else (f"Unlike the model's training images (distance {distance:.1f}, border 1).",)
        flags = Flag.OUT_OF_DOMAIN if notes else Flag.OK
        labels = {head.name: head.labels for head in self.spec.heads if head.kind == "class"}
        return Prediction(frame, {}, {}, pixel or 1.0, flags, distance, notes, values=values, labels=labels)

    def answers(
        self,
        images: Array,
        known: Mapping[str, float | NDArray[np.float64]] | None = None,
        pixel_nm: float | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """Return the answers for images (N, H, W) or (N, C, H, W), with 'domain_distance' (N,) among them."""
        spec = self.spec
        shape = (len(images), spec.channels, spec.side, spec.side)
        seen = [seen_by(spec, image, pixel_nm) for image in images]
        batch = np.stack(seen) if seen else np.zeros(shape, np.float32)
        if batch.shape != shape:
            raise BadInput(f"The images have {batch.shape[1]} channels, the encoder looks at {spec.channels}.")
        rows = {name: np.broadcast_to(np.asarray(value, float), len(images)) for name, value in (known or {}).items()}
        numbers = [spec.scaled({name: float(row[at]) for name, row in rows.items()}) for at in range(len(images))]
        given = np.stack(numbers) if numbers else np.zeros((0, max(1, len(spec.known))), np.float32)
        found = [member(batch, given) for member in self.members]
        together = _averaged(spec, [answers for answers, _ in found])
        return together | {"domain_distance": np.mean([distance for _, distance in found], axis=0)}

    def many(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Yield the prediction of each frame; the same numbers as one by one."""
        return map(self, frames)


def whole_frame(frame: Frame) -> Views:
    """Return the whole frame as the one view; what its calibration says is known, and what was recorded with it."""
    scale = {name: value for name, value in vars(frame.calibration).items() if isinstance(value, float | int)}
    return Views(frame.data[None], {**scale, **frame.known})


def _averaged(spec: EncoderSpec, answers: list[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    found = {}
    for head in spec.heads:
        each = np.stack([one[head.name] for one in answers])
        found[head.name] = each.mean(axis=0)
        if head.kind == "values":
            away = each - found[head.name]
            between = np.einsum("mni,mnj->nij", away, away) / len(answers)
            within = np.mean([one[head.name + COVARIANCE] for one in answers], axis=0)
            found[head.name + COVARIANCE] = within + between
    return found


def encoder_network(checkpoint: Checkpoint) -> Encoder:
    """Return the checkpoint's encoder, ready to infer."""
    net = Encoder(cast(EncoderSpec, checkpoint.spec))
    net.load_state_dict(checkpoint.part("net"))
    return net.eval().requires_grad_(False)


def torch_encoder(checkpoint: Checkpoint, device: str) -> EncoderCompute:
    """Return the encoder on PyTorch."""
    net: Any = encoder_network(checkpoint).to(device)

    @torch.inference_mode()
    def compute(images: Array, known: Array) -> tuple[Array, Array]:
        raw, embedding = net(torch.from_numpy(images).to(device), torch.from_numpy(known).to(device))
        return raw.float().cpu().numpy(), embedding.float().cpu().numpy()

    return compute


def openvino_encoder(checkpoint: Checkpoint, threads: int | None = None) -> EncoderCompute:
    """Return the encoder on OpenVINO in fp32; refuse it where its answers are not those of PyTorch."""
    openvino = openvino_module()
    spec, net = cast(EncoderSpec, checkpoint.spec), cast(Any, encoder_network(checkpoint))
    rng = np.random.default_rng(0)
    probe = (
        rng.standard_normal((2, spec.channels, spec.side, spec.side)).astype(np.float32),
        np.zeros((2, max(1, len(spec.known))), np.float32),
    )
    example = tuple(torch.from_numpy(part) for part in probe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of tracing: the answers are compared below
        traced = cast(Any, torch.jit).trace(net, example, check_trace=False)
        sizes = [[-1, *part.shape[1:]] for part in probe]
        model = openvino.convert_model(traced, example_input=example, input=sizes)
    compiled = openvino_core().compile_model(model, "CPU", openvino_options("f32", threads))

    def compute(images: Array, known: Array) -> tuple[Array, Array]:
        answer = compiled((images, known))
        return np.array(answer[0]), np.array(answer[1])

    if np.abs(compute(*probe)[0] - torch_encoder(checkpoint, "cpu")(*probe)[0]).max() > TOLERANCE:
        raise BadInput("OpenVINO and PyTorch disagree on this network: choose the back-end 'torch'.")
    return compute


def encoder_backend(checkpoint: Checkpoint, name: str, device: str, threads: int | None) -> EncoderCompute:
    """Return the back-end `name` ('openvino', 'torch', or 'auto') for `device` ('cpu', 'cuda', 'cuda:N', or 'auto').

    It takes batches of any length, and computes in full precision: its answers are numbers with their errors.
    """

    def processor() -> EncoderCompute:
        return in_pieces(openvino_encoder(checkpoint, threads), lambda *batch: BATCH)

    on = torch_device(name, device)
    if on is None:
        return processor()
    if on == "cpu":
        return in_pieces(torch_encoder(checkpoint, on), lambda *batch: BATCH)
    return on_gpu(torch_encoder(checkpoint, on), on, processor)
