"""What computes a network: OpenVINO on processors, PyTorch on GPUs and as fall-back. Same arrays in and out."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.nets import Checkpoint, NetSpec, UNet, build

Array = NDArray[np.float32]
#: What a network gives, one row an image of the batch: its answers, and what they were made of.
Pair = tuple[Array, Array]
#: Takes (B, C, H, W), gives logits (B, K, H, W) and embedding (B, D).
Compute = Callable[[Array], tuple[Array, Array]]
#: Largest difference of logits between a back-end and PyTorch that is accepted at load.
TOLERANCE = 2e-2


def network(checkpoint: Checkpoint) -> UNet:
    """Return the checkpoint's network, ready to infer."""
    net = build(cast(NetSpec, checkpoint.spec))
    net.load_state_dict(checkpoint.part("net"))
    return net.eval().requires_grad_(False)


def torch_backend(checkpoint: Checkpoint, device: str) -> Compute:
    """Return the network on PyTorch: channels last, half precision on a GPU."""
    net: Any = network(checkpoint)
    net = net.to(device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def compute(batch: Array) -> tuple[Array, Array]:
        image = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=device.startswith("cuda")):
            logits, embedding = net(image)
        return logits.float().cpu().numpy(), embedding.float().cpu().numpy()

    return compute


def openvino_backend(checkpoint: Checkpoint, threads: int | None = None) -> Compute:
    """Return the network on OpenVINO, in bf16 where the processor has it and the logits agree, else in fp32.

    A network is compiled once for every shape of batch that comes.
    """
    openvino, jit = openvino_module(), cast(Any, torch.jit)
    core = openvino.Core()
    channels = cast(NetSpec, checkpoint.spec).channels
    probe = np.random.default_rng(0).standard_normal((1, channels, 64, 64)).astype(np.float32)
    net: Any = network(checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of tracing: the logits are compared below
        traced = jit.trace(net, torch.from_numpy(probe), check_trace=False)
        model = openvino.convert_model(traced, example_input=torch.from_numpy(probe), input=[-1, channels, -1, -1])
    expected = torch_backend(checkpoint, "cpu")(probe)[0]
    fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for precision in (["bf16"] if fast else []) + ["f32"]:
        compute = _compiled(core, model, precision, threads)
        if np.abs(compute(probe)[0] - expected).max() < TOLERANCE:
            return compute
    raise BadInput("OpenVINO and PyTorch disagree on this network: choose the back-end 'torch'.")


def openvino_module() -> Any:
    """Return the module, imported without the package with which it reports its use to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


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
    """Return the back-end `name` ('openvino', 'torch', or 'auto') for `device` ('cpu', 'cuda', or 'auto')."""
    on = torch_device(name, device)
    if on is None:
        return openvino_backend(checkpoint, threads)
    compute = torch_backend(checkpoint, on)
    return compute if on == "cpu" else sparing(compute, lambda: openvino_backend(checkpoint, threads))


def sparing(compute: Callable[..., Pair], otherwise: Callable[[], Callable[..., Pair]]) -> Callable[..., Pair]:
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
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput(f"The device is '{device}', but no GPU is there: choose --device cpu.")
    if name not in ("auto", "openvino", "torch") or not device.startswith(("cpu", "cuda")):
        raise BadInput(f"The device is '{device}' and the back-end '{name}': known are cpu, cuda; openvino, torch.")
    return device if name == "torch" or device.startswith("cuda") else None
