# SPDX-License-Identifier: MIT
"""Number of threads that the native operations use."""

from __future__ import annotations

from fastsoft._native import cpu

__all__ = ["num_threads", "set_num_threads"]


def num_threads() -> int:
    """Return the number of threads that native operations use.

    The default is ``FASTSOFT_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the processors this
    process may run on, further limited by the CPU quota of its cgroup.
    """
    return cpu.num_threads()


def set_num_threads(count: int) -> None:
    """Set the number of threads that native operations use, for the whole process.

    Results have the same bits whatever the number.

    Parameters
    ----------
    count : int
        At least 1; 0 returns to the default.

    Raises
    ------
    ValueError
        If `count` is negative or above 1024.
    """
    cpu.set_num_threads(count)
