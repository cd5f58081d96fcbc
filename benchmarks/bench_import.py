# SPDX-License-Identifier: MIT
"""Time of `import fastsoft`, beside that of an empty interpreter and of `import numpy`.

python -m pytest benchmarks/bench_import.py --benchmark-columns=min,median
"""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code", ["pass", "import fastsoft", "import numpy", "import fastsoft; fastsoft.matting_laplacian"]
)
def test_import(benchmark, code):
    benchmark.group = "import"
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", code],), {"check": True}, rounds=9, warmup_rounds=1)
