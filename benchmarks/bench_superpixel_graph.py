# SPDX-License-Identifier: MIT
"""Superpixel graph, region means and affinities, 2500 square superpixels; NumPy and SciPy for scale.

pytest benchmarks/bench_superpixel_graph.py --benchmark-columns=median,iqr --benchmark-group-by=group
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import fastsoft


@pytest.fixture
def labels(photo):
    row, col = np.mgrid[: photo.shape[0], : photo.shape[1]]
    rows, cols = (50, 50) if photo.shape[0] > 50 else (6, 6)
    return (row * rows // photo.shape[0] * cols + col * cols // photo.shape[1]).astype(np.int32)


@pytest.fixture(autouse=True)
def group(benchmark, request, photo):
    benchmark.group = f"{request.node.originalname} {photo.shape[1]}x{photo.shape[0]}"


def run(benchmark, function, *arguments):
    return benchmark.pedantic(function, arguments, rounds=7, warmup_rounds=1)


def numpy_graph(labels):
    count = np.bincount(labels.ravel())
    centres = np.array(ndimage.center_of_mass(np.ones(labels.shape), labels, np.arange(len(count))))
    pairs = []
    for a, b in (
        (labels[:, :-1], labels[:, 1:]),
        (labels[:-1], labels[1:]),
        (labels[:-1, :-1], labels[1:, 1:]),
        (labels[:-1, 1:], labels[1:, :-1]),
    ):
        different = a != b
        pairs.append(np.sort(np.stack([a[different], b[different]], axis=1), axis=1))
    return np.floor(centres + 0.5), np.unique(np.concatenate(pairs), axis=0)


@pytest.mark.parametrize("function", [fastsoft.superpixel_graph, numpy_graph], ids=["fastsoft", "numpy"])
def test_superpixel_graph(benchmark, labels, function):
    run(benchmark, function, labels)


def numpy_means(values, labels):
    flat, count = labels.ravel(), np.bincount(labels.ravel())
    return np.stack([np.bincount(flat, values[..., k].ravel()) / count for k in range(values.shape[2])], axis=1)


@pytest.mark.parametrize("function", [fastsoft.region_means, numpy_means], ids=["fastsoft", "numpy"])
def test_region_means(benchmark, photo, labels, function):
    result = run(benchmark, function, photo, labels)
    np.testing.assert_allclose(result, fastsoft.region_means(photo, labels), rtol=1e-12)


def test_color_affinity(benchmark, photo, labels):
    run(benchmark, fastsoft.color_affinity, fastsoft.superpixel_graph(labels), fastsoft.region_means(photo, labels))


def test_semantic_affinity(benchmark, photo, labels):
    run(benchmark, fastsoft.semantic_affinity, fastsoft.superpixel_graph(labels), fastsoft.region_means(photo, labels))
