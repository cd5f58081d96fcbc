# SPDX-License-Identifier: MIT
"""k-means of a picture's colours against SciPy's `kmeans2`: same start, same number of iterations.

pytest benchmarks/bench_kmeans.py --benchmark-columns=median,iqr --benchmark-group-by=group
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastsoft

ITERATIONS = 10


def scipy_kmeans(points, n_clusters, init):
    from scipy.cluster.vq import kmeans2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty cluster
        return kmeans2(points, init, iter=ITERATIONS, minit="matrix")


def fastsoft_kmeans(points, n_clusters, init):
    return fastsoft.kmeans(points, n_clusters, init=init, max_iterations=ITERATIONS)


@pytest.mark.parametrize("n_clusters", [5, 40])
@pytest.mark.parametrize("function", [fastsoft_kmeans, scipy_kmeans], ids=["fastsoft", "scipy"])
def test_kmeans(benchmark, photo, function, n_clusters):
    points = photo.reshape(-1, 3).copy()
    init = points[np.random.default_rng(0).choice(len(points), n_clusters, replace=False)]
    benchmark.group = f"kmeans {photo.shape[1]}x{photo.shape[0]} {n_clusters} clusters, {ITERATIONS} iterations"
    benchmark.pedantic(function, (points, n_clusters, init), rounds=3, warmup_rounds=1)


def test_split_kmeans(benchmark, photo):
    benchmark.group = f"split_kmeans {photo.shape[1]}x{photo.shape[0]}"
    benchmark.pedantic(fastsoft.split_kmeans, (photo.reshape(-1, 3), 40), rounds=3, warmup_rounds=1)
