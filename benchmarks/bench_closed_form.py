# SPDX-License-Identifier: MIT
"""Closed-form matting on generated pictures with both preconditioners, and PyMatting's `estimate_alpha_cf`.

    python -m pytest benchmarks/bench_closed_form.py

The trimap is a band of 20 pixels to either side of where the red channel crosses its mean; a quarter to a third of the
pixels are unknown. On photographs with true mattes, in turns: python -m benchmarks.closed_form DATA.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import fastsoft


def trimap_of(photo):
    smooth = ndimage.gaussian_filter(photo[..., 0], 12)
    return fastsoft.trimap_from_mask(smooth > smooth.mean(), outer=20, inner=20)


@pytest.mark.parametrize("method", ["direct", "multilevel"])
def test_fastsoft(benchmark, photo, method):
    trimap = trimap_of(photo)
    benchmark.group = f"closed_form {photo.shape[1]}x{photo.shape[0]}"
    benchmark.pedantic(fastsoft.closed_form_matting, (photo, trimap), {"method": method}, rounds=3, warmup_rounds=1)
    benchmark.extra_info["unknown"] = int(np.count_nonzero(trimap == 128))


def test_pymatting(benchmark, vga_photo):
    pymatting = pytest.importorskip("pymatting")
    trimap = trimap_of(vga_photo)
    benchmark.group = f"closed_form {vga_photo.shape[1]}x{vga_photo.shape[0]}"
    alpha = benchmark.pedantic(
        pymatting.estimate_alpha_cf, (vga_photo.copy(), trimap / 255.0), rounds=3, warmup_rounds=1
    )
    assert np.abs(alpha - fastsoft.closed_form_matting(vga_photo, trimap)).mean() < 1e-3
