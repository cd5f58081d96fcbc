# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastsoft
from fastsoft.operators import STENCIL_OFFSETS
from tests.subprocesses import run_python

# What the subprocesses compute: large enough for many chunks, so that the pool is used.
PRODUCT = """
    import numpy as np, fastsoft, hashlib
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((13, 200, 190))
    weights[:, :2] = weights[:, -2:] = weights[:, :, :2] = weights[:, :, -2:] = 0
    matrix, x = fastsoft.StencilMatrix(weights), rng.standard_normal((38000, 3))
    def digest():
        return hashlib.sha256(np.ascontiguousarray(matrix @ x)).hexdigest()
"""


def grid_operator(rng, height=150, width=140):
    weights = rng.standard_normal((13, height, width))
    row, col = np.mgrid[:height, :width]
    for plane, (dr, dc) in zip(weights, STENCIL_OFFSETS, strict=True):
        plane[(row + dr >= height) | (col + dc < 0) | (col + dc >= width)] = 0
    return fastsoft.StencilMatrix(weights)


def test_number_of_threads_is_set_and_reset(threads):
    default = fastsoft.num_threads()
    assert default >= 1
    for count in (1, 3, 1024):
        threads(count)
        assert fastsoft.num_threads() == count
    threads(0)
    assert fastsoft.num_threads() == default


@pytest.mark.parametrize("count", [-1, 1025])
def test_numbers_out_of_range_are_refused(threads, count):
    with pytest.raises(ValueError, match=rf"count must be in 0\.\.1024, got {count}"):
        threads(count)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTSOFT_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"FASTSOFT_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"FASTSOFT_NUM_THREADS": "many", "OMP_NUM_THREADS": "5"}, 5),
    ],
)
def test_environment_sets_the_default(environment, expected):
    assert int(run_python("import fastsoft; print(fastsoft.num_threads())", **environment)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no processor affinity")
def test_default_follows_the_processors_this_process_may_use():
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import fastsoft
        print(fastsoft.num_threads())
    """
    assert int(run_python(code)) == 1


def test_calls_from_several_python_threads_do_not_disturb_each_other(rng, threads):
    matrix, x = grid_operator(rng), rng.standard_normal((150 * 140, 2))
    expected = matrix @ x

    def work(index):
        if index % 8 == 0:
            threads(1 + index % 3)
        return np.array_equal(matrix @ x, expected)

    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(work, range(64)))


def test_pool_survives_fork():
    code = """
        import os, warnings
        warnings.simplefilter("ignore")  # newer interpreters warn of forks with threads, which is what this is about
        fastsoft.set_num_threads(4)
        before = digest()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0 if digest() == before else 1)
            assert os.waitpid(child, 0)[1] == 0, "the child computed something else"
        assert digest() == before
        print("same")
    """
    assert run_python(PRODUCT, code) == "same"


def test_forked_worker_processes_compute_the_same():
    code = """
        import multiprocessing, warnings
        warnings.simplefilter("ignore")
        fastsoft.set_num_threads(3)
        before = digest()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            results = pool.starmap(digest, [()] * 6)
        print(set(results) == {before})
    """
    assert run_python(PRODUCT, code) == "True"
