# SPDX-License-Identifier: MIT
"""The hypercolumn network that gives every pixel a feature vector, and the backbones it can stand on.

Levels of a backbone, from the picture itself to the deepest, are compressed by a 3x3 convolution each, brought to one
resolution, concatenated, and reduced to the feature by two 1x1 convolutions (section 3.5 and supplement of
Aksoy et al., "Semantic soft segmentation", ACM TOG 37(4), 2018, :doi:`10.1145/3197517.3201275`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsoft.network_device import autocast
from fastsoft.networks import IMAGENET_DEVIATION, IMAGENET_MEAN, MobileNetV2, SameConv2d

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["BACKBONES", "HypercolumnNetwork", "MobileNetV2DeepLab", "ResNet101DeepLab"]

# Channels of the compressed levels, of the layer between, and of the feature [paper].
LEVEL_CHANNELS = (4, 124, 128, 256, 512)
HIDDEN_CHANNELS = 512
FEATURE_CHANNELS = 128


class MobileNetV2DeepLab(MobileNetV2):
    """MobileNetV2 1.0 with DeepLab's dilation (output stride 16) and its context module.

    Chen et al., 2017, arXiv:1706.05587.
    """

    _TAPS = (3, 6, 13, 17)

    # Of the levels that `forward` returns; the first is the picture.
    channels = (3, 24, 32, 96, 320 + 256)
    stride = 16
    # Typical deviation of each level over photographs, by which it is divided: what follows starts from levels of one
    # size. Without batch norm they differ by a factor of 7.
    _SCALES = (1.0, 7.0, 6.3, 4.0, 1.5)

    def __init__(self) -> None:
        super().__init__(dilated=14)
        self.aspp = nn.ModuleDict(
            {"0": SameConv2d(320, 256, 1), "pool": SameConv2d(320, 256, 1), "project": SameConv2d(512, 256, 1)}
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the levels of an image (N, 3, H, W) in [0, 1]."""
        x = image * 2 - 1
        levels = [x]
        for k, block in enumerate(self.features):
            x = block(x)
            if k in self._TAPS:
                levels.append(x)
        context = self.aspp["pool"](x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        context = self.aspp["project"](torch.cat([context, self.aspp["0"](x)], dim=1))
        levels[-1] = torch.cat([x, context], dim=1)
        return [level / scale for level, scale in zip(levels, self._SCALES, strict=True)]


class Bottleneck(nn.Module):
    """Block of a ResNet with three convolutions."""

    def __init__(self, n_in: int, n_mid: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        n_out = 4 * n_mid
        self.conv1 = nn.Conv2d(n_in, n_mid, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(n_mid)
        self.conv2 = nn.Conv2d(n_mid, n_mid, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(n_mid)
        self.conv3 = nn.Conv2d(n_mid, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out))
            if stride > 1 or n_in != n_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet101DeepLab(nn.Module):
    """ResNet-101 with atrous convolutions, output stride 8: the paper's base (DeepLab v2, arXiv:1606.00915)."""

    channels = (3, 64 + 256, 512, 1024, 2048)
    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._group(64, 64, 3, stride=1, dilation=1)
        self.layer2 = self._group(256, 128, 4, stride=2, dilation=1)
        self.layer3 = self._group(512, 256, 23, stride=1, dilation=2)
        self.layer4 = self._group(1024, 512, 3, stride=1, dilation=4)

    @staticmethod
    def _group(n_in: int, n_mid: int, count: int, *, stride: int, dilation: int) -> nn.Sequential:
        blocks = [Bottleneck(n_in, n_mid, stride=stride, dilation=dilation)]
        blocks += [Bottleneck(4 * n_mid, n_mid, stride=1, dilation=dilation) for _ in range(count - 1)]
        return nn.Sequential(*blocks)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the levels of an image (N, 3, H, W) in [0, 1]."""
        mean, deviation = (image.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        x = (image - mean) / deviation
        pool1 = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        res2 = self.layer1(pool1)
        res3 = self.layer2(res2)
        res4 = self.layer3(res3)
        return [x, torch.cat([pool1, res2], dim=1), res3, res4, self.layer4(res4)]


BACKBONES: dict[str, type[MobileNetV2DeepLab] | type[ResNet101DeepLab]] = {
    "mobilenetv2-deeplab": MobileNetV2DeepLab,
    "resnet101-deeplab": ResNet101DeepLab,
}


class HypercolumnNetwork(nn.Module):
    """Feature vectors for pixels.

    Parameters
    ----------
    backbone : str
        "mobilenetv2-deeplab", the compact one, or "resnet101-deeplab", the paper's.
    n_features : int, default 128
    level_channels : sequence of int
        Channels that each level is compressed to, the picture first.
    dropout : float, default 0.5
        Share of the inputs of the two last layers that is dropped in training.

    Notes
    -----
    Fully convolutional: any height and width. The new parts start from Xavier's distribution with zero biases.
    """

    def __init__(
        self,
        backbone: str = "mobilenetv2-deeplab",
        *,
        n_features: int = FEATURE_CHANNELS,
        level_channels: Sequence[int] = LEVEL_CHANNELS,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, got {backbone!r}")
        self.backbone_name = backbone
        self.dropout = dropout
        kind = BACKBONES[backbone]
        self.base = kind()
        self._stride = kind.stride
        pairs = zip(kind.channels, level_channels, strict=True)
        self.compress = nn.ModuleList(nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in pairs)
        self.hidden = nn.Linear(sum(level_channels), HIDDEN_CHANNELS)
        self.feature = nn.Linear(HIDDEN_CHANNELS, n_features)
        for layer in (*self.compress, self.hidden, self.feature):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def fill(self, arrays: Mapping[str, NDArray[np.floating]], name: str) -> None:
        """Take over weights that bear the names of this network's; `name` says in errors where they come from."""
        state = self.state_dict()
        for key, own in state.items():
            if key in arrays:
                if arrays[key].shape != tuple(own.shape):
                    raise ValueError(
                        f"weights {name}: {key} must have shape {tuple(own.shape)}, got {tuple(arrays[key].shape)}"
                    )
                # A copy in torch's own memory: the order of a sum may depend on how its operands are aligned.
                state[key] = torch.from_numpy(np.asarray(arrays[key])).to(own.dtype, copy=True)
        # Assigned, not copied into what is there, because a network made for these weights has no memory yet.
        self.load_state_dict(state, assign=True)

    def taps(self, image: Tensor) -> list[Tensor]:
        """Return the backbone's levels of one image (3, H, W) in [0, 1], each (1, channels, h, w).

        Height and width are first made multiples of the stride by repeating the last row and column, so that the
        coarse levels' cells lie evenly over the picture.
        """
        height, width = image.shape[1:]
        stride = self._stride
        padded = F.pad(image[None], (0, -width % stride, 0, -height % stride), mode="replicate")
        taps: list[Tensor] = self.base(padded)
        return taps

    def levels(self, taps: Sequence[Tensor]) -> list[Tensor]:
        """Compress the levels of the backbone, each to (channels, h, w)."""
        return [F.relu(layer(tap))[0] for layer, tap in zip(self.compress, taps, strict=True)]

    def at(self, levels: Sequence[Tensor], rows: Tensor, cols: Tensor) -> Tensor:
        """Evaluate the features at points, (P, n_features), from the compressed levels.

        Only there the wide 1x1 layers are needed; levels are interpolated bilinearly. Rows and columns count pixels of
        the image from 0 and need not be whole.
        """
        height, width = levels[0].shape[1:]
        grid = torch.stack([(2 * cols + 1) / width - 1, (2 * rows + 1) / height - 1], dim=1)[None, None]
        columns = [
            F.grid_sample(level[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0]
            for level in levels
        ]
        hyper = torch.cat(columns).T
        hyper = F.dropout(hyper, self.dropout, self.training)
        hidden = F.dropout(F.relu(self.hidden(hyper)), self.dropout, self.training)
        out: Tensor = self.feature(hidden)
        return out

    def forward(self, image: Tensor, step: int = 1, precision: str = "float32") -> Tensor:
        """Evaluate an image (3, H, W) in [0, 1] at the centre of every step x step block: (n_features, h, w).

        The same as `at` on that grid, without dropout, in fewer operations: the hidden layer is linear, so that a level
        of fewer cells than there are points passes through its part of it before it is interpolated. Rows are taken
        in strips, so that memory does not grow with the hidden channels of the whole image. `precision` is that of the
        convolutions.
        """
        height, width = image.shape[1:]
        with contextlib.nullcontext() if precision == "float32" else autocast(image.device, precision):
            found = self.levels(self.taps(image))
        levels = [level.permute(1, 2, 0).to(image.dtype) for level in found]
        fine = levels[0].shape[:2]
        rows, cols = (
            torch.arange(0, n, step, dtype=image.dtype, device=image.device).add((step - 1) / 2).clamp(max=n - 1)
            for n in (height, width)
        )
        weights = torch.split(self.hidden.weight, [level.shape[2] for level in levels], dim=1)
        before: dict[tuple[int, ...], Tensor] = {}  # the hidden layer's share of levels of one resolution
        after: list[tuple[Tensor, Tensor]] = []
        for level, weight in zip(levels, weights, strict=True):
            if level.shape[0] * level.shape[1] < len(rows) * len(cols):
                share = F.linear(level, weight)
                before[share.shape] = before[share.shape] + share if share.shape in before else share
            else:
                after.append((level, weight))
        strips = []
        for strip in torch.split(rows, max(1, 4096 // len(cols))):
            hidden: Tensor = self.hidden.bias
            for level, weight in after:
                hidden = hidden + F.linear(_interpolate(level, fine, strip, cols), weight)
            for share in before.values():
                hidden = hidden + _interpolate(share, fine, strip, cols)
            strips.append(self.feature(F.relu(hidden)))
        return torch.cat(strips).permute(2, 0, 1)


def _interpolate(level: Tensor, fine: Sequence[int], rows: Tensor, cols: Tensor) -> Tensor:
    """Interpolate a level (h, w, C) bilinearly on a grid of pixels of an image of height and width `fine`."""
    for axis, points in enumerate((rows, cols)):
        n = level.shape[axis]
        place = ((points + 0.5) * (n / fine[axis]) - 0.5).clamp(0, n - 1)
        low = place.floor().long()
        share = place - low
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        level = torch.lerp(
            level.index_select(axis, low), level.index_select(axis, (low + 1).clamp(max=n - 1)), share.reshape(shape)
        )
    return level
