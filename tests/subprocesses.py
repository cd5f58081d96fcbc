# SPDX-License-Identifier: MIT
"""Runs code in a fresh interpreter: for what happens at import, and for what a test must not do to its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

THREAD_VARIABLES = {"FASTSOFT_NUM_THREADS", "OMP_NUM_THREADS", "FASTSOFT_ISA"}


def run_python(*parts: str, **environment: str) -> str:
    """Return what the code prints, its parts one after another.

    The variables are added to the environment, after removing those that set the number of threads or the module.
    """
    inherited = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(map(textwrap.dedent, parts))],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
