# SPDX-License-Identifier: MIT
"""U-Net of tables 3 and 4 of Akimoto et al. 2020 in float64, one filter at a time."""

from __future__ import annotations

import numpy as np
from scipy.signal import correlate2d


def convolve(x, weight, bias=None, stride=1):
    """3x3 convolution with padding 1; x (n_in, H, W), weight (n_out, n_in, 3, 3)."""
    planes = [sum(correlate2d(c, w, mode="same") for c, w in zip(x, filters, strict=True)) for filters in weight]
    out = np.stack(planes)[:, ::stride, ::stride]
    return out if bias is None else out + bias[:, None, None]


def transposed(x, weight):
    """Transposed convolution, stride 2, padding 1, output padding 1; weight (n_in, n_out, 3, 3).

    Every input value is spread by the kernel onto the grid of twice the size, centred on the even pixels.
    """
    n_in, height, width = x.shape
    out = np.zeros((weight.shape[1], 2 * height + 2, 2 * width + 2))
    for k in range(n_in):
        for row in range(3):
            for col in range(3):
                spread = x[k][None] * weight[k, :, row, col][:, None, None]
                out[:, row : row + 2 * height : 2, col : col + 2 * width : 2] += spread
    return out[:, 1:-1, 1:-1]


def normalise(x, state, name):
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state[f"{name}.weight"] / np.sqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][:, None, None]


def unet(x, state):
    """Return the network's output before its last nonlinearity; `state` maps names to float64 arrays."""

    def block(y, name):
        return normalise(np.maximum(y, 0), state, name)

    half = block(convolve(x, state["conv1.weight"], stride=2), "bn1")
    quarter = block(convolve(half, state["conv2.weight"], stride=2), "bn2")
    y = block(convolve(quarter, state["conv3.weight"], stride=2), "bn3")
    y = block(transposed(y, state["deconv1.weight"]), "bnde1")
    y = block(transposed(np.concatenate([y, quarter]), state["deconv2.weight"]), "bnde2")
    y = block(transposed(np.concatenate([y, half]), state["deconv3.weight"]), "bnde3")
    y = block(convolve(np.concatenate([y, x[:3]]), state["conv4.weight"], state["conv4.bias"]), "bn4")
    return convolve(y, state["conv5.weight"], state["conv5.bias"])
