# SPDX-License-Identifier: MIT
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fastsoft.errors import ConvergenceError
from fastsoft.matting.network import MattingNetwork
from fastsoft.matting.network_refinement import (
    BackpropagatingRefinement,
    CachedDecoder,
    RefinementSettings,
    border_sets,
    refine_output,
)
from tests.matting.test_network import lively
from tests.reference import matting_network as reference


def small_network(**options):
    torch.manual_seed(11)
    sizes = {"decoder_channels": (24, 16, 12, 10, 8), "final_channels": (8, 6)}
    network = MattingNetwork("mobilenet_v2", **sizes, **options)
    torch.nn.init.xavier_uniform_(network.decoder.final_final.conv3.weight)
    return lively(network)


@pytest.fixture(scope="module")
def network():
    """In float64: what is compared are formulas, not rounding."""
    return small_network().double()


def blob(height, width):
    """A trimap (H, W) of 0, 128, 255 with a disc, a ring around it, a known region at the frame, and a known pixel."""
    rows, cols = np.mgrid[:height, :width]
    distance = np.hypot(rows - height * 0.55, (cols - width * 0.5) * 0.8)
    trimap = np.where(distance < height / 5, 255, np.where(distance < height / 3, 128, 0)).astype(np.uint8)
    trimap[:3, : width // 2] = 255
    trimap[-4:] = 128
    trimap[height // 2, width // 2] = 128
    return trimap


def levels_of(network, trimap, seed=3):
    generator = torch.Generator().manual_seed(seed)
    dtype = network.decoder.final_final.conv3.weight.dtype
    image = torch.rand(1, 3, *trimap.shape, generator=generator).to(dtype)
    planes = torch.rand(1, len(network.extra_channels), *trimap.shape, generator=generator).to(dtype)
    known = torch.from_numpy(trimap).to(dtype)[None, None] / 255
    with torch.no_grad():
        return network.encode(image, known, planes if planes.shape[1] else None), known[0, 0]


def slow_refinement(network, levels, trimap, inside, steps, rate=20.0, form="forgiving"):
    """The paper's loop without any shortcut: the whole decoder, torch's interpolation, a pixel at a time."""
    neighbours, both = (4, True) if form == "paper" else (8, False)
    ones, zeros = reference.border_sets(trimap, neighbours, both, inside)
    free = (trimap == 128) & inside
    offset = 0 if form == "paper" else 0.1
    count = ones.sum() + offset + zeros.sum() + offset
    parameters = {}

    def modify(k, x):
        if k not in parameters:
            cells = 2 ** (8 - k)
            parameters[k] = [torch.zeros(1, x.shape[1], cells, cells, dtype=x.dtype).requires_grad_() for _ in "AB"]
        a, b = (F.interpolate(p, size=x.shape[2:], mode="bicubic", align_corners=False) for p in parameters[k])
        return x * torch.exp(a) + b

    start, costs = None, []
    for step in range(steps + 1):
        out = network.decode(levels, modify)[0, 0]
        start = out.detach() if start is None else start
        seen = out.clamp(0, 1) if form == "compat" else out
        border = 0.0
        for row, col in np.argwhere(ones):
            if form != "forgiving" or seen[row, col] < 1:
                border = border + (1 - seen[row, col]) ** 2
        for row, col in np.argwhere(zeros):
            if form != "forgiving" or seen[row, col] > 0:
                border = border + seen[row, col] ** 2
        now, before = (out.clamp(0, 1), start.clamp(0, 1)) if form == "forgiving" else (seen, start)
        apart = sum(abs(now[row, col] - before[row, col]) for row, col in np.argwhere(free)) / free.sum()
        cost = border / count + 0.1 * apart**2
        costs.append(float(cost.detach()))
        if step == steps:
            return out.detach(), start, costs, parameters
        flat = [p for pair in parameters.values() for p in pair]
        for p, gradient in zip(flat, torch.autograd.grad(cost, flat), strict=True):
            p.data -= rate * gradient
    raise AssertionError


FORMS = {"forgiving": RefinementSettings, "compat": RefinementSettings.compat, "paper": RefinementSettings.paper}


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("both_sides", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (13, 17)])
def test_borders_are_the_reference(rng, shape, neighbours, both_sides):
    for share in (0.1, 0.5, 1.0):
        trimap = rng.choice([0, 128, 255], size=shape).astype(np.uint8)
        inside = rng.random(shape) < share
        expected = reference.border_sets(trimap, neighbours, both_sides, inside)
        found = border_sets(
            torch.from_numpy(trimap) / 255,
            neighbours=neighbours,
            both_sides=both_sides,
            region=torch.from_numpy(inside),
        )
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.numpy(), other)


def test_forms_are_the_published_ones():
    compat, paper = RefinementSettings.compat(), RefinementSettings.paper()
    assert (compat.steps, paper.steps) == (99, 100)
    assert compat.learning_rate == paper.learning_rate == 20
    assert compat.closeness == paper.closeness == 0.1
    assert (compat.neighbours, compat.both_sides, compat.padding) == (8, False, True)
    assert (paper.neighbours, paper.both_sides, paper.padding) == (4, True, False)
    assert not compat.clamp_start
    assert RefinementSettings.compat(steps=3).steps == 3


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("cache", [True, False])
def test_refinement_is_the_slow_loop(network, form, cache):
    trimap = blob(64, 96)
    levels, known = levels_of(network, trimap)
    inside = np.zeros(trimap.shape, dtype=bool)
    inside[4:-6, 5:] = True
    slow_inside = np.ones_like(inside) if form == "compat" else inside
    expected, start, costs, _ = slow_refinement(network, levels, trimap, slow_inside, 3, form=form)
    settings = FORMS[form](steps=3, learning_rate=20.0)
    found = BackpropagatingRefinement(network, settings, cache=cache)(levels, known, region=torch.from_numpy(inside))
    np.testing.assert_allclose(found.costs, costs, rtol=1e-9)
    wanted = (trimap == 128) & slow_inside
    moved = np.abs((expected - start).numpy()[wanted]).max()
    assert moved > 1e-3
    np.testing.assert_allclose(found.output[0, 0].numpy()[wanted], expected.numpy()[wanted], atol=1e-9)
    np.testing.assert_allclose(found.start[0, 0].numpy(), start.numpy(), atol=1e-9)
    if not cache:
        np.testing.assert_allclose(found.output[0, 0].numpy(), expected.numpy(), atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"extra_channels": ("closed_form",), "residual": True}])
@pytest.mark.parametrize("shape", [(64, 96), (192, 160), (70, 33), (1, 5)])
def test_cached_decoder_is_the_decoder(options, shape):
    """With maps changed at all four levels, and gradients of the changes."""
    network = small_network(**options).double()
    trimap = np.full(shape, 128, dtype=np.uint8)
    levels, _ = levels_of(network, trimap)
    changes = {}

    def modify(k, x):
        if k not in changes:
            torch.manual_seed(k)
            changes[k] = torch.randn_like(x).requires_grad_()
        return x * 1.5 + changes[k]

    expected = network.decode(levels, modify)
    weights = torch.randn_like(expected)
    before = torch.autograd.grad((expected * weights).sum(), list(changes.values()))
    found = CachedDecoder(network, levels)(modify)
    after = torch.autograd.grad((found * weights).sum(), list(changes.values()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    for one, other in zip(after, before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    # Of single pixels, corners among them: where they are the tiles say the same, elsewhere what was there at first.
    places = [(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 3)]
    wanted = torch.zeros(shape, dtype=torch.bool)
    for row, col in places:
        wanted[row, col] = True
    tiles = CachedDecoder(network, levels, wanted)(modify)
    torch.testing.assert_close(tiles[0, 0][wanted], expected[0, 0][wanted], rtol=0, atol=1e-10)
    mask = wanted[None, None] * weights
    before = torch.autograd.grad((network.decode(levels, modify) * mask).sum(), list(changes.values()))
    after = torch.autograd.grad((tiles * mask).sum(), list(changes.values()))
    for one, other in zip(after, before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_published_network_is_refined_alike(rng):
    torch.manual_seed(2)
    network = lively(MattingNetwork()).double()
    trimap = blob(64, 64)
    levels, known = levels_of(network, trimap)
    settings = RefinementSettings(steps=2, learning_rate=0.01)
    one = BackpropagatingRefinement(network, settings)(levels, known)
    other = BackpropagatingRefinement(network, settings, cache=False)(levels, known)
    wanted = trimap == 128
    assert one.costs[2] < one.costs[0]
    np.testing.assert_allclose(one.costs, other.costs, rtol=1e-9)
    np.testing.assert_allclose(one.output[0, 0].numpy()[wanted], other.output[0, 0].numpy()[wanted], atol=1e-9)


def test_cache_halves_the_work():
    """Operations of one step, forwards and backwards, for the published network with half of the picture unknown."""
    network = lively(MattingNetwork())
    trimap = np.zeros((128, 128), dtype=np.uint8)
    trimap[:, :60] = 128
    trimap[:, 60:80] = 255
    levels, known = levels_of(network, trimap)
    work = []
    for steps in (1, 2):
        for cache in (True, False):
            with FlopCounterMode(display=False) as counter:
                settings = RefinementSettings(steps=steps, learning_rate=1e-4)
                refined = BackpropagatingRefinement(network, settings, cache=cache)(levels, known)
            assert len(refined.costs) == steps + 1
            work.append(counter.get_total_flops())
    cached, plain = work[2] - work[0], work[3] - work[1]
    assert plain > 2.4 * cached


def test_refinement_lowers_the_borders_cost(network):
    trimap = blob(96, 96)
    levels, known = levels_of(network, trimap)
    refined = BackpropagatingRefinement(network, RefinementSettings(steps=25))(levels, known)
    assert refined.borders[refined.best] < 0.9 * refined.borders[0]
    assert refined.costs[refined.best] == min(refined.costs)
    assert len(refined.costs) == 26


def test_forgiving_form_reaches_pixels_that_clamping_loses(network):
    """All output far below 0: clamped, no pixel has a gradient, and nothing moves."""
    trimap = blob(64, 64)
    levels, known = levels_of(network, trimap)

    def decode(modify):
        return network.decode(levels, modify) - 50

    clamped = refine_output(decode, known, RefinementSettings(steps=2, output="clamped"))
    assert clamped.costs[0] == clamped.costs[2] > 0
    forgiving = refine_output(decode, known, RefinementSettings(steps=2, output="forgiving", learning_rate=0.01))
    assert forgiving.costs[2] < forgiving.costs[0]


def test_steps_that_raise_the_cost_are_taken_back(network):
    """From a rate a million times too large the cost still falls, as far as with one that was chosen well."""
    trimap = blob(64, 64)
    levels, known = levels_of(network, trimap)
    chosen, large = (
        BackpropagatingRefinement(network, RefinementSettings(steps=45, learning_rate=rate))(levels, known)
        for rate in (20.0, 2e7)
    )
    assert not min(large.costs[1:10]) < large.costs[0]
    assert min(large.costs) < 0.8 * large.costs[0]
    assert min(large.costs) < 1.5 * min(chosen.costs)


def test_best_is_kept_and_divergence_is_told(network):
    trimap = blob(64, 64)
    levels, known = levels_of(network, trimap)
    wild = RefinementSettings(steps=12, learning_rate=1e8)
    refined = BackpropagatingRefinement(network, wild)(levels, known)
    assert refined.output.isfinite().all()
    assert refined.best == int(np.nanargmin(refined.costs))
    untamed = RefinementSettings(steps=12, learning_rate=1e8, backtrack=False)
    assert BackpropagatingRefinement(network, untamed)(levels, known).output.isfinite().all()
    with pytest.raises(ConvergenceError, match=r"diverged after .* updates: use a learning_rate below 1e\+08") as found:
        BackpropagatingRefinement(network, RefinementSettings.compat(steps=12, learning_rate=1e8, output="raw"))(
            levels, known
        )
    assert not math.isfinite(found.value.result.costs[-1])
    assert found.value.result.output.isfinite().all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_to_refine_by(network, value):
    trimap = np.full((64, 64), value, dtype=np.uint8)
    levels, known = levels_of(network, trimap)
    refined = BackpropagatingRefinement(network, RefinementSettings(steps=3))(levels, known)
    torch.testing.assert_close(refined.output, network.decode(levels), rtol=0, atol=1e-10)


def test_no_steps_is_no_refinement(network):
    trimap = blob(64, 64)
    levels, known = levels_of(network, trimap)
    refined = BackpropagatingRefinement(network, RefinementSettings.compat(steps=0))(levels, known)
    torch.testing.assert_close(refined.output, network.decode(levels), rtol=0, atol=1e-10)


def test_arguments_are_checked(network):
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        RefinementSettings(steps=-1)
    with pytest.raises(ValueError, match="neighbours must be 4 or 8, got 6"):
        RefinementSettings(neighbours=6)
    with pytest.raises(ValueError, match="output must be one of"):
        RefinementSettings(output="soft")
    training = small_network().train()
    for kind in (BackpropagatingRefinement, lambda n: CachedDecoder(n, [])):
        with pytest.raises(ValueError, match="network must be in evaluation mode, got one in training mode"):
            kind(training)
