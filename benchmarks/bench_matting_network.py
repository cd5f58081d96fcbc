# SPDX-License-Identifier: MIT
"""A step of backpropagating refinement with and without its cache, and one pass of the matting networks.

    python -m pytest benchmarks/bench_matting_network.py -s

Both ways of a step run in turns, in one thread, with random weights, on a canvas of 512x640 of which a disc's rim is
unknown. Without the cache the encoder, too, runs only once, as in the authors' program.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.timing import compare

HEIGHT, WIDTH = 512, 640
ENCODERS = ("resnet50d", "mobilenet_v2")


def ring(height, width):
    """A trimap (H, W) whose unknown pixels, a ring, are a fifth of it."""
    rows, cols = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, cols - width / 2) / min(height, width)
    return np.where(distance < 0.25, 255, np.where(distance < 0.36, 128, 0)).astype(np.uint8)


@pytest.fixture(params=ENCODERS)
def network(request):
    torch = pytest.importorskip("torch")
    from fastsoft.matting.network import MattingNetwork

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return MattingNetwork(request.param).eval().requires_grad_(False).fold()


def test_refinement_step(network, request):
    import torch

    from fastsoft.matting.network_refinement import BackpropagatingRefinement, RefinementSettings

    smoke = request.config.getoption("--smoke")
    height, width = (64, 64) if smoke else (HEIGHT, WIDTH)
    trimap = torch.from_numpy(ring(height, width)) / 255
    with torch.no_grad():
        levels = network.encode(torch.rand(1, 3, height, width), trimap[None, None])
    # A rate at which random weights do not diverge; the cost of a step does not depend on it.
    settings = RefinementSettings(steps=1 if smoke else 3, learning_rate=1e-4)
    cached, plain = (BackpropagatingRefinement(network, settings, cache=cache) for cache in (True, False))
    result = compare(lambda: cached(levels, trimap), lambda: plain(levels, trimap), rounds=5, budget=60)
    print(
        f"\n{network.encoder_name}: {settings.steps} steps and what is prepared {result.ours:.2f} s, without cache "
        f"{result.peer:.2f} s, ratio {result.ratio:.2f}"
    )
    one, other = cached(levels, trimap), plain(levels, trimap)
    unknown = (trimap > 0.25) & (trimap < 0.75)
    torch.testing.assert_close(one.output[0, 0][unknown], other.output[0, 0][unknown], rtol=0, atol=1e-3)


def test_one_pass(benchmark, network, photo):
    from fastsoft.matting.models import network_matting

    image = photo.astype(np.float32)
    trimap = ring(*image.shape[:2])
    benchmark.group = f"network_matting {image.shape[1]}x{image.shape[0]}"
    benchmark.pedantic(network_matting, args=(image, trimap), kwargs={"weights": network}, rounds=3, warmup_rounds=1)
