"""What computes a network: OpenVINO on processors, PyTorch on GPUs and as fall-back. Same arrays in and out."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from micrograph.core import BadInput
from micrograph.infer.at_once import Array, Computes, GpuMemory, Pair, as_fits, in_pieces
from micrograph.nets import Checkpoint, NetSpec, UNet, build

#: Takes (B, C, H, W), gives logits (B, K, H, W) and embedding (B, D).
Compute = Callable[[Array], tuple[Array, Array]]
#: Largest difference of logits between a back-end and PyTorch that is accepted at load.
TOLERANCE = 2e-2


def network(checkpoint: Checkpoint) -> UNet:
    """Return the checkpoint's network, ready to infer."""
    net = build(cast(NetSpec, checkpoint.spec))
    net.load_state_dict(checkpoint.part("net"))
    return net.eval().requires_grad_(False)


def torch_backend(checkpoint: Checkpoint, device: str, half: bool = False) -> Compute:
    """Return the network on PyTorch, channels last; in `half` precision only batches that it can hold."""
    net: Any = network(checkpoint)
    net, kind = net.to(device, memory_format=torch.channels_last), torch.device(device).type

    @torch.inference_mode()
    def compute(batch: Array) -> Pair:
        image = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        with torch.autocast(kind, torch.float16, enabled=half):
            logits, embedding = net(image)
        if half and not bool(torch.isfinite(logits).all()):
            logits, embedding = net(image)
        return logits.float().cpu().numpy(), embedding.float().cpu().numpy()

    return compute


def half_backend(checkpoint: Checkpoint, device: str) -> Compute:
    """Return the network on PyTorch in half precision where the logits agree with those of full precision.

    That is float16: bfloat16 has fewer digits, with which no shipped network agrees.
    """
    probe = _probe(checkpoint)
    compute = torch_backend(checkpoint, device, half=True)
    if _agrees(compute, torch_backend(checkpoint, "cpu"), probe):
        return compute
    return torch_backend(checkpoint, device)


def _probe(checkpoint: Checkpoint) -> Array:
    channels = cast(NetSpec, checkpoint.spec).channels
    return np.random.default_rng(0).standard_normal((1, channels, 64, 64)).astype(np.float32)


def _agrees(compute: Compute, exact: Compute, probe: Array) -> bool:
    """Return whether two back-ends give the same logits, up to `TOLERANCE`."""
    return bool(np.abs(compute(probe)[0] - exact(probe)[0]).max() < TOLERANCE)


def openvino_backend(checkpoint: Checkpoint, threads: int | None = None) -> Compute:
    """Return the network on OpenVINO, in bf16 where the processor has it and the logits agree, else in fp32.

    A network is compiled once for every shape of batch that comes.
    """
    openvino, core, jit = openvino_module(), openvino_core(), cast(Any, torch.jit)
    channels = cast(NetSpec, checkpoint.spec).channels
    probe = _probe(checkpoint)
    net: Any = network(checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of tracing: the logits are compared below
        traced = jit.trace(net, torch.from_numpy(probe), check_trace=False)
        model = openvino.convert_model(traced, example_input=torch.from_numpy(probe), input=[-1, channels, -1, -1])
    exact = torch_backend(checkpoint, "cpu")
    fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for precision in (["bf16"] if fast else []) + ["f32"]:
        compute = _compiled(core, model, precision, threads)
        if _agrees(compute, exact, probe):
            return compute
    raise BadInput("OpenVINO and PyTorch disagree on this network: choose the back-end 'torch'.")


def openvino_module() -> Any:
    """Return the module, imported without the package with which it reports its use to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@functools.cache
def openvino_core() -> Any:
    """Return the one core of this process, which lives as long as it does.

    Its processor plugin gives the thread that loads it a stack for signals, and takes that memory back when it is
    dropped. If another thread drops it, the next signal that Python answers (Ctrl-C, the end of a child) kills the
    process.
    """
    return openvino_module().Core()


def openvino_options(precision: str, threads: int | None) -> dict[str, Any]:
    """Return how a network is compiled: for one image at a time, on so many threads.

    ``None``: as many as OMP_NUM_THREADS says, which also holds for PyTorch, else all.
    """
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    said = os.environ.get("OMP_NUM_THREADS", "")
    number = threads or (int(said) if said.isdigit() else 0)
    return options | {"INFERENCE_NUM_THREADS": number} if number else options


def _compiled(core: Any, model: Any, precision: str, threads: int | None) -> Compute:
    options = openvino_options(precision, threads)
    ready: dict[tuple[int, ...], Any] = {}

    def compute(batch: Array) -> tuple[Array, Array]:
        if batch.shape not in ready:
            shaped = model.clone()
            shaped.reshape(list(batch.shape))
            ready[batch.shape] = core.compile_model(shaped, "CPU", options)
        answer = ready[batch.shape](batch)
        return np.array(answer[0]), np.array(answer[1])

    return compute


def backend(checkpoint: Checkpoint, name: str, device: str, threads: int | None) -> Compute:
    """Return the back-end `name` ('openvino', 'torch', or 'auto') for `device` ('cpu', 'cuda', 'cuda:N', or 'auto').

    It takes batches of any length: a processor computes one image at a time, a GPU as many as fit.
    """

    def processor() -> Compute:
        return in_pieces(openvino_backend(checkpoint, threads), lambda batch: 1)

    on = torch_device(name, device)
    if on is None:
        return processor()
    if on == "cpu":
        return in_pieces(torch_backend(checkpoint, on), lambda batch: 1)
    return on_gpu(half_backend(checkpoint, on), on, processor)


def on_gpu(compute: Computes, device: str, otherwise: Callable[[], Computes]) -> Computes:
    """Return `compute` for batches of any length on a GPU; what `otherwise` makes takes over where memory runs out."""
    return sparing(as_fits(compute, GpuMemory(device)), otherwise)


def sparing(compute: Computes, otherwise: Callable[[], Computes]) -> Computes:
    """Return `compute` for a GPU whose memory may run out: then batches are halved, and where even one image is too
    much, what `otherwise` makes computes that one and all that follow.
    """
    ways = [compute]

    def spared(*arrays: Array) -> Pair:
        try:
            return ways[-1](*arrays)
        except torch.OutOfMemoryError:
            if len(ways) > 1:
                raise
        torch.cuda.empty_cache()
        if len(arrays[0]) > 1:
            parts = [spared(*half) for half in zip(*(np.array_split(one, 2) for one in arrays), strict=True)]
            return np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts])
        warnings.warn("The memory of the GPU does not suffice: the processor goes on.", stacklevel=2)
        ways.append(otherwise())
        return ways[-1](*arrays)

    return spared


def torch_device(name: str, device: str) -> str | None:
    """Return the device on which PyTorch is to compute, ``None`` where OpenVINO is to; refuse what is not there."""
    gpus = torch.cuda.device_count()
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    kind, _, number = device.partition(":")
    if name not in ("auto", "openvino", "torch") or kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise BadInput(f"The device is '{device}' and the back-end '{name}': known are cpu, cuda; openvino, torch.")
    if kind == "cuda" and int(number or 0) >= gpus:
        there = f"only {gpus} are" if gpus else "no GPU is"
        raise BadInput(f"The device is '{device}', but {there} there: choose another --device, such as cpu.")
    return device if name == "torch" or kind == "cuda" else None


def spread(device: str, worker: int) -> str:
    """Return the device of one of several workers: those that may take any GPU take the next one each."""
    gpus = torch.cuda.device_count()
    return f"cuda:{worker % gpus}" if gpus and device in ("auto", "cuda") else device
