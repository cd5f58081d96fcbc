# SPDX-License-Identifier: MIT
import numpy as np

from tests.subprocesses import run_python


def test_peak_memory_is_that_of_this_process_not_of_the_one_that_started_it():
    held = np.ones(60_000_000)
    code = """
        from fastsoft._environment import peak_memory
        before = peak_memory()
        grown = b"1" * 200_000_000
        print(before, peak_memory())
    """
    before, after = map(int, run_python(code).split())
    assert before < held.nbytes / 2
    assert after - before > 190_000_000
