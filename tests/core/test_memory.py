"""Memory that was freed goes back to the system when asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from micrograph.core.memory import give_back


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only the GNU library can be asked")
def test_freed_memory_below_what_is_still_used_goes_back() -> None:
    held = [np.ones(6000) for _ in range(4000)]  # 48 kB each: of the heap, not pages of their own
    last = held[-1]
    before = _resident()
    held.clear()
    give_back()
    assert before - _resident() > 100e6
    assert last.sum() == 6000


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
