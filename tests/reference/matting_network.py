# SPDX-License-Identifier: MIT
"""Matting network of Wang et al. 2022 (and its MobileNetV2 sibling) in float64 NumPy, and what surrounds it.

`state` maps the names of the authors' program to float64 arrays; maps are (C, H, W).
"""

from __future__ import annotations

import numpy as np


def convolve(x, weight, bias=None, stride=1, pad=((1, 1), (1, 1)), groups=1):
    """Correlate maps with weight (n_out, n_in / groups, k, k), tap by tap; zeros beyond the border."""
    size = weight.shape[2]
    x = np.pad(x, ((0, 0), *pad))
    height, width = ((n - size) // stride + 1 for n in x.shape[1:])
    out = np.zeros((weight.shape[0], height, width))
    for row in range(size):
        for col in range(size):
            seen = x[:, row : row + stride * height : stride, col : col + stride * width : stride]
            tap = weight[:, :, row, col]
            out += tap[:, 0, None, None] * seen if groups > 1 else np.einsum("oi,ihw->ohw", tap, seen)
    return out if bias is None else out + bias[:, None, None]


NONE = ((0, 0), (0, 0))


def normalise(x, state, name):
    deviation = np.sqrt(state[f"{name}.running_var"] + 1e-5)
    scale = state[f"{name}.weight"] / deviation
    return (x - state[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][
        :, None, None
    ]


def relu(x):
    return np.maximum(x, 0)


def windows(x, size, stride, pad):
    """Yield (row, col, values of the window that lie within the map) for pooling with `pad` on all sides."""
    height, width = x.shape[1:]
    for row in range(-pad, height + pad - size + 1 + (stride - 1), stride):
        for col in range(-pad, width + pad - size + 1 + (stride - 1), stride):
            part = x[:, max(row, 0) : row + size, max(col, 0) : col + size]
            if part.size:
                yield (row + pad) // stride, (col + pad) // stride, part


def mean_pool(x):
    """2x2, stride 2; what sticks out at the end is left out of the mean."""
    out = np.zeros((x.shape[0], -(-x.shape[1] // 2), -(-x.shape[2] // 2)))
    for row, col, part in windows(x, 2, 2, 0):
        out[:, row, col] = part.mean(axis=(1, 2))
    return out


def max_pool(x):
    """3x3, stride 2, padding 1."""
    out = np.zeros((x.shape[0], (x.shape[1] - 1) // 2 + 1, (x.shape[2] - 1) // 2 + 1))
    for row in range(out.shape[1]):
        for col in range(out.shape[2]):
            part = x[:, max(2 * row - 1, 0) : 2 * row + 2, max(2 * col - 1, 0) : 2 * col + 2]
            out[:, row, col] = part.max(axis=(1, 2))
    return out


def bottleneck(x, state, name, stride):
    y = relu(normalise(convolve(x, state[f"{name}.conv1.weight"], pad=NONE), state, f"{name}.bn1"))
    y = relu(normalise(convolve(y, state[f"{name}.conv2.weight"], stride=stride), state, f"{name}.bn2"))
    y = normalise(convolve(y, state[f"{name}.conv3.weight"], pad=NONE), state, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in state:
        x = normalise(convolve(x, state[f"{name}.downsample.0.weight"], pad=NONE), state, f"{name}.downsample.1")
    elif f"{name}.downsample.1.weight" in state:
        x = mean_pool(x)
        x = normalise(convolve(x, state[f"{name}.downsample.1.weight"], pad=NONE), state, f"{name}.downsample.2")
    return relu(x + y)


def resnet50d(x, state):
    for k, stride in enumerate((2, 1, 1)):
        name = f"backbone.stem.{k}"
        x = relu(normalise(convolve(x, state[f"{name}.conv.weight"], stride=stride), state, f"{name}.bn"))
    levels = [x]
    x = max_pool(x)
    for k, count in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for i in range(count):
            x = bottleneck(x, state, f"backbone.layer{k}.{i}", 2 if k > 1 and i == 0 else 1)
        levels.append(x)
    return levels


def same(extent, stride):
    total = max((-(-extent // stride) - 1) * stride + 3 - extent, 0)
    return total // 2, total - total // 2


def mobilenet_v2(x, state):
    def conv(x, name, stride=1, depthwise=False, limit=True):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        pad = NONE if weight.shape[2] == 1 else tuple(same(n, stride) for n in x.shape[1:])
        y = convolve(x, weight, bias, stride, pad, len(weight) if depthwise else 1)
        return np.clip(y, 0, 6) if limit else y

    x = conv(x, "backbone.features.0.0", 2)
    levels = []
    for k in range(1, 18):
        name = f"backbone.features.{k}.conv"
        stride = 2 if k in (2, 4, 7, 14) else 1
        y = x if k == 1 else conv(x, f"{name}.0.0")
        y = conv(y, f"{name}.{min(k, 2) - 1}.0", stride, depthwise=True)
        y = conv(y, f"{name}.{min(k, 2)}", limit=False)
        x = x + y if stride == 1 and x.shape == y.shape else y
        if k in (1, 3, 6, 13, 17):
            levels.append(x / {1: 3.7, 3: 5.2, 6: 5.0, 13: 3.4, 17: 1.7}[k])
    return levels


def taps(n_in, n_out, kind):
    """Return the matrix (n_out, n_in) that resizes one axis, half-pixel centres, no smoothing, ends repeated."""
    matrix = np.zeros((n_out, n_in))
    for i in range(n_out):
        if kind == "nearest":
            matrix[i, min(i * n_in // n_out, n_in - 1)] = 1
            continue
        place = (i + 0.5) * n_in / n_out - 0.5
        if kind == "linear":
            place = max(place, 0)
        low = int(np.floor(place))
        t = place - low
        if kind == "linear":
            weights = {0: 1 - t, 1: t}
        else:
            a = -0.75
            near = [(a + 2) * d**3 - (a + 3) * d**2 + 1 for d in (t, 1 - t)]
            far = [a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a for d in (1 + t, 2 - t)]
            weights = {-1: far[0], 0: near[0], 1: near[1], 2: far[1]}
        for offset, weight in weights.items():
            matrix[i, min(max(low + offset, 0), n_in - 1)] += weight
    return matrix


def resize(x, shape, kind):
    rows, cols = (taps(n_in, n_out, kind) for n_in, n_out in zip(x.shape[1:], shape, strict=True))
    return np.einsum("ih,chw,jw->cij", rows, x, cols, optimize=True)


def gate(x, weight, bias):
    logits = weight[:, :, 0, 0] @ x.mean(axis=(1, 2)) + bias
    return x * (np.clip(logits + 3, 0, 6) / 6)[:, None, None]


def decode(levels, state):
    """From the six levels, the input first, to the raw output (H, W)."""
    y = None
    for k in (5, 4, 3, 2, 1):
        name = f"decoder.decoder_{k}"
        x = levels[k] if y is None else np.concatenate([levels[k], resize(y, levels[k].shape[1:], "nearest")])
        x = relu(normalise(convolve(x, state[f"{name}.conv1.weight"]), state, f"{name}.norm1"))
        y = gate(x, state[f"{name}.fc.weight"], state[f"{name}.fc.bias"])
    y = np.concatenate([levels[0], resize(y, levels[0].shape[1:], "linear")])
    for k in (1, 2, 3):
        name = f"decoder.final_final.conv{k}"
        y = convolve(y, state[f"{name}.weight"], state[f"{name}.bias"])
        y = relu(y) if k < 3 else y
    return y[0]


def matting_network(image, trimap, state, encoder, extra=None):
    """Return the raw output (H, W) for an image (H, W, 3) in [0, 1] and a trimap (H, W) of 0, 128/255, 1."""
    resnet = encoder == "resnet50d"
    mean, deviation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if resnet else ((0.5,) * 3, (0.5,) * 3)
    planes = [((image - mean) / deviation).transpose(2, 0, 1), trimap[None]]
    x = np.concatenate(planes if extra is None else [*planes, extra.transpose(2, 0, 1)])
    return decode([x, *(resnet50d if resnet else mobilenet_v2)(x, state)], state)


def border_sets(trimap, neighbours, both_sides, inside):
    """Pixels that C1 wants to be 1, and 0; trimap (H, W) of 0, 128, 255."""
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    if neighbours == 8:
        steps += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    found = []
    for value in (255, 0):
        out = np.zeros(trimap.shape, dtype=bool)
        for row, col in np.ndindex(trimap.shape):
            if not inside[row, col]:
                continue
            around = [
                trimap[row + i, col + j] == value
                for i, j in steps
                if 0 <= row + i < trimap.shape[0] and 0 <= col + j < trimap.shape[1] and inside[row + i, col + j]
            ]
            own = trimap[row, col] == value
            if both_sides:
                # The pixel and its neighbours meet the region, and what is not the region.
                out[row, col] = any([own, *around]) and not all([own, *around])
            else:
                out[row, col] = trimap[row, col] == 128 and any(around)
        found.append(out)
    return found
