# SPDX-License-Identifier: MIT
"""Facts about the machine and the installation that results are recorded with."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

__all__ = ["environment", "peak_memory", "release_memory"]


def environment() -> dict[str, Any]:
    """Return version, device, instruction set, compiler, threads and system."""
    import numpy as np

    from fastsoft._native import cpu
    from fastsoft.threads import num_threads

    return {
        "fastsoft": cpu.__version__,
        "device": "cpu",
        "instruction_set": cpu.__name__.rpartition("_")[2],
        "compiler": f"{cpu.compiler}, {cpu.build_type}",
        "threads": num_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def peak_memory() -> int:
    """Return the largest resident size that this process has had, in bytes."""
    # What getrusage says begins, on Linux, with the size of the process that started this one.
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def release_memory() -> None:
    """Give memory that was freed back to the system, where the C library keeps it for itself.

    glibc keeps an arena per thread, and the working memory of networks that ran in tiles stays in them: 360 MB with two
    threads.
    """
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
