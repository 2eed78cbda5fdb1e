"""On what a network is trained: precision, one device or several, and what their processes tell this one."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch

from micrograph.core import BadInput
from micrograph.train.settings import TrainSettings

#: Called with (step, steps, running loss).
Progress = Callable[[int, int, float], None]

log = logging.getLogger(__name__)


def fabric_for(settings: TrainSettings) -> Any:
    """Return Fabric for the GPU that is there, or so many, or for so many processes of a machine without.

    Raises `BadInput` for devices that are not there, or cannot share a batch evenly.
    """
    from lightning_fabric import Fabric

    wanted, there = settings.devices, torch.cuda.device_count()
    if wanted < 1 or settings.batch % wanted:
        raise BadInput(f"{wanted} devices cannot share batches of {settings.batch}: give a divisor of that.")
    if 0 < there < wanted:
        raise BadInput(f"{wanted} GPUs are to train, {there} are there: give --devices {there} or fewer.")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    strategy = "auto" if wanted == 1 else "ddp_spawn"
    return Fabric(accelerator="auto", devices=wanted, strategy=strategy, precision=precision_for(settings.precision))


def most_devices(batch: int) -> int:
    """Return how many of the GPUs that are there can share a batch evenly, at least 1."""
    return max(number for number in range(1, max(1, torch.cuda.device_count()) + 1) if batch % number == 0)


def precision_for(wish: str) -> Any:
    """Return Fabric's precision for 'auto': bf16 on GPUs and processors with bf16 arithmetic, else fp32."""
    if wish != "auto":
        return wish
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return "bf16-mixed"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16-mixed" if fast else "32-true"


@contextlib.contextmanager
def relayed(progress: Progress | None) -> Iterator[Progress | None]:
    """Yield a function that one other process may call: `progress` is then called in this one.

    A `progress` that fails is logged, and the training goes on.
    """
    if progress is None:
        yield None
        return
    hears, says = multiprocessing.get_context("spawn").Pipe(duplex=False)
    listener = threading.Thread(target=_listen, args=(hears, progress), daemon=True)
    listener.start()
    try:
        yield functools.partial(_say, says)
    finally:
        says.close()  # the other process has ended: nobody can say more
        listener.join()


def _say(says: Connection, step: int, steps: int, loss: float) -> None:
    says.send((step, steps, loss))


def _listen(hears: Connection, progress: Progress) -> None:
    while True:
        try:
            said = hears.recv()
        except EOFError:
            return
        try:
            progress(*said)
        except Exception:
            log.exception("What shows the progress failed; the training goes on.")
