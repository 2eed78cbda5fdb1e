"""Matrix files (.Z_mtrx, .I_mtrx) of Scienta Omicron, through access2theMatrix.

The scale and the size of the scan are in other files of the same measurement, NAME_0001.mtrx and on: all belong into
one folder.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from micrograph.core import BadInput
from micrograph.io.probe.channels import Channel, read_channels
from micrograph.io.signals import Signal

#: Suffixes: the channel is part of them.
SUFFIX = re.compile(r"\.[a-z0-9()]+_mtrx", re.IGNORECASE)


def signals(path: Path) -> list[Signal]:
    """Return the images of a channel: forward and backward, of the scan upwards and downwards."""
    return read_channels(path, "access2theMatrix", _channels)


def _channels(path: Path) -> list[Channel]:
    from access2thematrix import MtrxData

    chain = path.name.rpartition("--")[0] + "_0001.mtrx"
    if not path.with_name(chain).is_file():
        raise BadInput(f"{path.name} needs '{chain}' beside it, which holds its scale: copy the whole measurement.")
    file = MtrxData()
    traces, message = file.open(str(path))
    if not traces:
        raise BadInput(f"{path.name} cannot be read ({message.rstrip('.')}): it may be damaged or not finished.")
    found = []
    for trace in traces.values():
        image, _ = file.select_image(trace)
        if not getattr(image, "width", 0):
            continue  # a spectrum
        name, unit = image.channel_name_and_unit
        sides = (1e9 * float(image.height), 1e9 * float(image.width))
        # Lines are given from the bottom of the scan upwards.
        found.append(Channel(f"{name} {trace}", np.asarray(image.data, np.float32)[::-1], unit, sides))
    return found
