# SPDX-License-Identifier: MIT
"""What several networks of fastsoft consist of: MobileNetV2, and loading of weights by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["IMAGENET_DEVIATION", "IMAGENET_MEAN", "MobileNetV2", "fill"]

# Mean and deviation of the colours of ImageNet, as networks trained on it expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class SameConv2d(nn.Conv2d):
    """Convolution with bias, padded as TensorFlow's "SAME", with an optional ReLU limited to 6.

    For an even size and stride 2 that pads behind only; symmetric padding would shift what the pretrained weights
    see by a pixel per stage.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__(n_in, n_out, size, stride=stride, dilation=dilation, groups=groups)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        stride = self.stride[0]
        rows, cols = (max((-(-n // stride) - 1) * stride + reach + 1 - n, 0) for n in x.shape[2:])
        padding = rows // 2, cols // 2
        if rows % 2 or cols % 2:
            # Only where the two sides differ: it copies.
            x = F.pad(x, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))
            padding = 0, 0
        x = F.conv2d(x, self.weight, self.bias, stride, padding, self.dilation, self.groups)
        return F.relu6(x) if self.relu else x


class InvertedResidual(nn.Module):
    """Block of MobileNetV2: expansion, depthwise convolution, projection; batch norm folded in."""

    def __init__(self, n_in: int, n_out: int, *, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = n_in * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(nn.Sequential(SameConv2d(n_in, hidden, 1)))
        layers.append(nn.Sequential(SameConv2d(hidden, hidden, 3, stride=stride, dilation=dilation, groups=hidden)))
        layers.append(SameConv2d(hidden, n_out, 1, relu=False))
        self.conv = nn.Sequential(*layers)
        self.shortcut = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """MobileNetV2 1.0 without its last convolution and its classifier; batch norm folded in.

    Sandler et al., CVPR 2018, :doi:`10.1109/CVPR.2018.00474`. Keys of the state are those of the usual numbering.

    Parameters
    ----------
    n_in : int, default 3
        Channels of the input. Pretrained weights expect RGB in [-1, 1].
    dilated : int, optional
        Block whose stride of 2 becomes a dilation of the blocks after it.
    """

    # Expansion, channels, blocks, stride of the first.
    _GROUPS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, n_in: int = 3, *, dilated: int | None = None) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Sequential(SameConv2d(n_in, 32, 3, stride=2))]
        width = 32
        for expansion, n_out, count, first_stride in self._GROUPS:
            for index in range(count):
                k = len(blocks)
                stride = first_stride if index == 0 and k != dilated else 1
                dilation = 2 if dilated is not None and k > dilated else 1
                blocks.append(InvertedResidual(width, n_out, expansion=expansion, stride=stride, dilation=dilation))
                width = n_out
        self.features = nn.ModuleList(blocks)


def fill(network: nn.Module, arrays: Mapping[str, NDArray[Any]], name: str) -> None:
    """Load weights by name; every one must be there, none may be left over, and all shapes must fit.

    Raises
    ------
    ValueError
        That says which does not; `name` says where the weights come from.
    """
    own = network.state_dict()
    odd = sorted(set(own) ^ set(arrays))
    if odd:
        what = "no" if odd[0] in own else "an unknown"
        raise ValueError(f"weights {name} must be those of {type(network).__name__}, got {what} {odd[0]}")
    state = {}
    for key, value in arrays.items():
        if own[key].shape != value.shape:
            raise ValueError(f"weights {name}: {key} must have shape {tuple(own[key].shape)}, got {value.shape}")
        state[key] = torch.from_numpy(np.array(value)).to(own[key].dtype)
    network.load_state_dict(state)
