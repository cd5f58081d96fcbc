# SPDX-License-Identifier: MIT
"""The matting network: an encoder that sees photograph and trimap, and a gated decoder with skips from every level.

R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image Matting via Local Smoothness Assumption", ICME 2022,
arXiv:2112.13809. The encoder is ResNet-50-D (He et al., "Bag of tricks", CVPR 2019, :doi:`10.1109/CVPR.2019.00065`),
the gate that of VoVNetV2 (Lee and Park, "CenterMask", CVPR 2020, :doi:`10.1109/CVPR42600.2020.01392`) without its
identity shortcut. ``MattingNetwork("resnet50d")`` is the published network and has the names of the authors' program
for its parameters; with "mobilenet_v2" the same design stands on a smaller encoder and has a narrower decoder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsoft._checks import check_choice
from fastsoft._files import atomic_file
from fastsoft.networks import IMAGENET_DEVIATION, IMAGENET_MEAN, MobileNetV2, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ENCODERS",
    "UNKNOWN",
    "MattingNetwork",
    "MobileNetV2Encoder",
    "ResNet50D",
    "fused",
    "network_of",
    "save_network",
]

# What files of weights call this network.
DESIGN = "matting"
# Value of the trimap's unknown pixels as the network sees them: 128 of 255, not a half.
UNKNOWN = 128 / 255
# The deepest level has a stride of 32.
STRIDE = 32


class ConvNorm(nn.Module):
    """3x3 convolution, batch norm, ReLU, under the names of the authors' program."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))

    def fold(self) -> None:
        self.conv, self.bn = fused(self.conv, self.bn), nn.Identity()


class Bottleneck(nn.Module):
    """Block of ResNet-50-D: the stride sits in the 3x3 convolution, and the shortcut is pooled rather than strided."""

    def __init__(self, n_in: int, n_mid: int, stride: int = 1) -> None:
        super().__init__()
        n_out = 4 * n_mid
        self.conv1 = nn.Conv2d(n_in, n_mid, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(n_mid)
        self.conv2 = nn.Conv2d(n_mid, n_mid, 3, stride=stride, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(n_mid)
        self.conv3 = nn.Conv2d(n_mid, n_out, 1, bias=False)
        self.bn3: nn.Module = nn.BatchNorm2d(n_out)
        self.downsample: nn.Sequential | None = None
        if n_in != n_out or stride > 1:
            shortcut: list[nn.Module] = [nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)]
            if stride > 1:
                shortcut.insert(0, nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
            self.downsample = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))

    def fold(self) -> None:
        for k in "123":
            conv, norm = getattr(self, f"conv{k}"), getattr(self, f"bn{k}")
            setattr(self, f"conv{k}", fused(conv, norm))
            setattr(self, f"bn{k}", nn.Identity())
        if self.downsample is not None:
            self.downsample[-2], self.downsample[-1] = fused(self.downsample[-2], self.downsample[-1]), nn.Identity()


class ResNet50D(nn.Module):
    """ResNet-50-D without its classifier.

    Parameters
    ----------
    n_in : int
        Channels of the input; the first three are RGB, normalised by ImageNet's mean and deviation.
    """

    channels = (64, 256, 512, 1024, 2048)
    decoder_channels = (512, 256, 128, 64, 64)
    final_channels = (32, 32)
    mean = IMAGENET_MEAN
    deviation = IMAGENET_DEVIATION
    first = "stem.0.conv.weight"
    # Of pretrained weights, what this has no use for.
    unused = ("fc.", "head.")

    def __init__(self, n_in: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(n_in, 32, 2), ConvNorm(32, 32), ConvNorm(32, 64))
        self.layer1 = self._group(64, 64, 3, 1)
        self.layer2 = self._group(256, 128, 4, 2)
        self.layer3 = self._group(512, 256, 6, 2)
        self.layer4 = self._group(1024, 512, 3, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _group(n_in: int, n_mid: int, count: int, stride: int) -> nn.Sequential:
        later = [Bottleneck(4 * n_mid, n_mid) for _ in range(count - 1)]
        return nn.Sequential(Bottleneck(n_in, n_mid, stride), *later)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the levels of strides 2 to 32 of an input (N, n_in, H, W)."""
        levels = [self.stem(x)]
        y = F.max_pool2d(levels[0], 3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            y = layer(y)
            levels.append(y)
        return levels

    def fold(self) -> None:
        """Merge batch norm into the convolutions."""
        for module in self.modules():
            if isinstance(module, (ConvNorm, Bottleneck)):
                module.fold()


class MobileNetV2Encoder(MobileNetV2):
    """MobileNetV2 1.0 to a stride of 32, without its last convolution.

    Parameters
    ----------
    n_in : int
        Channels of the input; the first three are RGB in [-1, 1].
    """

    channels = (16, 24, 32, 96, 320)
    decoder_channels = (320, 192, 96, 48, 24)
    final_channels = (16, 12)
    mean = (0.5, 0.5, 0.5)
    deviation = (0.5, 0.5, 0.5)
    first = "features.0.0.weight"
    unused = ("features.18.", "aspp.", "head.")
    # Output of these blocks, and its typical deviation over photographs with ImageNet's weights, by which it is
    # divided: without batch norm the levels would enter the decoder with sizes that differ by a factor of 3.
    _SCALES = {1: 3.7, 3: 5.2, 6: 5.0, 13: 3.4, 17: 1.7}  # noqa: RUF012

    def __init__(self, n_in: int = 4) -> None:
        super().__init__(n_in)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the levels of strides 2 to 32 of an input (N, n_in, H, W)."""
        levels = []
        for k, block in enumerate(self.features):
            x = block(x)
            if k in self._SCALES:
                levels.append(x / self._SCALES[k])
        return levels

    def fold(self) -> None:
        """Do nothing: there is no batch norm."""


ENCODERS: dict[str, type[ResNet50D] | type[MobileNetV2Encoder]] = {
    "resnet50d": ResNet50D,
    "mobilenet_v2": MobileNetV2Encoder,
}


class GatedBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU, and a gate for every channel that depends on all channels' means."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(n_out)
        self.fc = nn.Conv2d(n_out, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(F.relu(self.norm1(self.conv1(x))))

    def gate(self, y: Tensor) -> Tensor:
        return y * (F.relu6(self.fc(y.mean(dim=(2, 3), keepdim=True)) + 3) / 6)

    def fold(self) -> None:
        self.conv1, self.norm1 = fused(self.conv1, self.norm1), nn.Identity()


class FinalBlock(nn.Module):
    """Three convolutions at full resolution, the last without a nonlinearity."""

    def __init__(self, n_in: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, channels[0], 3, padding=1)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.conv3 = nn.Conv2d(channels[1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return out


class Decoder(nn.Module):
    """From the levels of the encoder, the input first, to alpha.

    Parameters
    ----------
    levels : sequence of int
        Channels of the six levels, the input first.
    channels : sequence of int
        Of what the blocks return, the deepest first.
    final_channels : sequence of two int
    """

    def __init__(self, levels: Sequence[int], channels: Sequence[int], final_channels: Sequence[int]) -> None:
        super().__init__()
        below = (0, *channels)
        self.decoder_5 = GatedBlock(levels[5], channels[0])
        self.decoder_4 = GatedBlock(levels[4] + below[1], channels[1])
        self.decoder_3 = GatedBlock(levels[3] + below[2], channels[2])
        self.decoder_2 = GatedBlock(levels[2] + below[3], channels[3])
        self.decoder_1 = GatedBlock(levels[1] + below[4], channels[4])
        self.final_final = FinalBlock(levels[0] + below[5], final_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def blocks(self) -> dict[int, GatedBlock]:
        """The gated blocks by their level, the deepest first."""
        return {k: getattr(self, f"decoder_{k}") for k in (5, 4, 3, 2, 1)}

    def forward(self, levels: Sequence[Tensor], modify: Callable[[int, Tensor], Tensor] | None = None) -> Tensor:
        """Return the raw output (N, 1, H, W); `modify` may replace what blocks 5 to 2 return."""
        y: Tensor | None = None
        for k, block in self.blocks.items():
            skip = levels[k]
            if y is not None:
                skip = torch.cat([skip, F.interpolate(y, size=skip.shape[2:], mode="nearest")], dim=1)
            y = block(skip)
            if modify is not None and k > 1:
                y = modify(k, y)
        assert y is not None
        fine = F.interpolate(y, size=levels[0].shape[2:], mode="bilinear", align_corners=False)
        out: Tensor = self.final_final(torch.cat([levels[0], fine], dim=1))
        return out

    def fold(self) -> None:
        for block in self.blocks.values():
            block.fold()


class MattingNetwork(nn.Module):
    """Alpha from a photograph, a trimap and, if wanted, further planes.

    Parameters
    ----------
    encoder : str
        "resnet50d", the published one (38,067,809 parameters in all), or "mobilenet_v2".
    decoder_channels : sequence of five int, optional
        Channels of the decoder's blocks, the deepest first. Default: the published ones, or narrower ones for
        MobileNetV2.
    final_channels : sequence of two int, optional
        Channels between the three convolutions at full resolution.
    extra_channels : sequence of str
        Names of planes that are given besides photograph and trimap, such as "closed_form".
    residual : bool, default False
        The output is added to the first of the extra channels, and the last layer starts at zero: an untrained network
        returns that channel.

    Notes
    -----
    Any height and width from 1 pixel. `fold` makes the network faster, for evaluation only.
    """

    _mean: Tensor
    _deviation: Tensor
    # Where the weights come from, for records.
    source: str = ""

    def __init__(
        self,
        encoder: str = "resnet50d",
        *,
        decoder_channels: Sequence[int] | None = None,
        final_channels: Sequence[int] | None = None,
        extra_channels: Sequence[str] = (),
        residual: bool = False,
    ) -> None:
        super().__init__()
        check_choice(encoder, "encoder", tuple(ENCODERS))
        kind = ENCODERS[encoder]
        self.encoder_name = encoder
        self.decoder_channels = tuple(kind.decoder_channels if decoder_channels is None else decoder_channels)
        self.final_channels = tuple(kind.final_channels if final_channels is None else final_channels)
        self.extra_channels = tuple(extra_channels)
        self.residual = residual
        for name, widths, count in (
            ("decoder_channels", self.decoder_channels, 5),
            ("final_channels", self.final_channels, 2),
        ):
            if len(widths) != count or min(widths) < 1:
                raise ValueError(f"{name} must be {count} positive numbers, got {widths}")
        if residual and not extra_channels:
            raise ValueError("extra_channels must name the plane that a residual network adds to, got none")
        n_in = 4 + len(self.extra_channels)
        self.backbone = kind(n_in)
        self.decoder = Decoder((n_in, *kind.channels), self.decoder_channels, self.final_channels)
        # Not part of the state: the authors' has neither.
        self.register_buffer("_mean", torch.tensor(kind.mean)[:, None, None], persistent=False)
        self.register_buffer("_deviation", torch.tensor(kind.deviation)[:, None, None], persistent=False)
        if residual:
            nn.init.zeros_(self.decoder.final_final.conv3.weight)

    def encode(self, image: Tensor, trimap: Tensor, extra: Tensor | None = None) -> list[Tensor]:
        """Return the six levels that the decoder needs, from the input itself to a stride of 32.

        Parameters
        ----------
        image : Tensor, shape (N, 3, H, W)
            RGB in [0, 1]; it is normalised here.
        trimap : Tensor, shape (N, 1, H, W)
            0 for background, `UNKNOWN` (128/255), 1 for foreground.
        extra : Tensor, shape (N, E, H, W), optional
            The extra channels, in [0, 1].

        Raises
        ------
        ValueError
            If `extra` does not hold the channels that the network was made for.
        """
        given = 0 if extra is None else extra.shape[1]
        if given != len(self.extra_channels):
            raise ValueError(
                f"extra must hold the {len(self.extra_channels)} channels {self.extra_channels}, got {given}"
            )
        planes = [(image - self._mean) / self._deviation, trimap]
        x = torch.cat(planes if extra is None else [*planes, extra], dim=1)
        return [x, *self.backbone(x)]

    def decode(self, levels: Sequence[Tensor], modify: Callable[[int, Tensor], Tensor] | None = None) -> Tensor:
        """Return the raw output (N, 1, H, W) for the levels of `encode`.

        `modify` is called with the level, 5 to 2, and what the decoder's block returned, and returns what replaces it.
        """
        out: Tensor = self.decoder(levels, modify)
        return out + levels[0][:, 4:5] if self.residual else out

    def forward(self, image: Tensor, trimap: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return the raw output (N, 1, H, W), linear: neither clamped nor overwritten where the trimap is known."""
        return self.decode(self.encode(image, trimap, extra))

    def initialize_encoder(self, arrays: Mapping[str, NDArray[Any]], name: str) -> None:
        """Take over pretrained weights of the encoder, which know RGB only; further channels start at zero.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Under the names of the encoder, with or without the prefix ``backbone.``. A classifier is ignored.
        name : str
            Says in errors where the weights come from.

        Raises
        ------
        ValueError
            If they are of another network.
        """
        unused = self.backbone.unused
        state = {}
        for key, value in arrays.items():
            plain = key.removeprefix("backbone.")
            if not plain.startswith(unused):
                state[plain] = np.asarray(value)
        first = state.get(self.backbone.first)
        own = dict(self.backbone.state_dict())[self.backbone.first].shape
        if first is not None and first.shape == (own[0], 3, *own[2:]):
            state[self.backbone.first] = np.pad(first, ((0, 0), (0, own[1] - 3), (0, 0), (0, 0)))
        fill(self.backbone, state, name)

    def fold(self) -> MattingNetwork:
        """Merge batch norm into the convolutions before it: for evaluation only, and for good. Returns the network."""
        if self.training:
            raise ValueError("batch norm can be merged in evaluation mode only, got a network in training mode")
        self.backbone.fold()
        self.decoder.fold()
        return self

    @property
    def metadata(self) -> dict[str, str]:
        """What `network_of` needs to know to build this network again, before `fold`."""
        return {
            "design": DESIGN,
            "encoder": self.encoder_name,
            "decoder_channels": ",".join(map(str, self.decoder_channels)),
            "final_channels": ",".join(map(str, self.final_channels)),
            "extra_channels": ",".join(self.extra_channels),
            "residual": str(int(self.residual)),
        }


def fused(conv: Any, norm: Any) -> nn.Conv2d:
    """Return the convolution that does what a convolution without bias and batch norm do; float64 inside."""
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    fused = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, stride=conv.stride, padding=conv.padding
    ).to(conv.weight)
    assert fused.bias is not None
    with torch.no_grad():
        fused.weight.copy_(conv.weight.double() * scale[:, None, None, None])
        fused.bias.copy_(norm.bias.double() - norm.running_mean.double() * scale)
    return fused.requires_grad_(conv.weight.requires_grad).train(conv.training)


def network_of(state: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], name: str) -> MattingNetwork:
    """Build the network that weights were made from, in evaluation mode.

    Parameters
    ----------
    state, metadata
        As `fastsoft.weights.read_weights` returns them.
    name : str
        Says in errors where they come from.

    Raises
    ------
    ValueError
        If they are of another network, or incomplete.
    """
    if metadata.get("design") != DESIGN:
        raise ValueError(
            f"weights {name} must be of a matting network, got a file whose design is {metadata.get('design')!r}"
        )
    try:
        encoder = metadata["encoder"]
        decoder_channels, final_channels = (
            [int(n) for n in metadata[key].split(",")] for key in ("decoder_channels", "final_channels")
        )
        extra = tuple(part for part in metadata["extra_channels"].split(",") if part)
        residual = bool(int(metadata["residual"]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"weights {name} must describe their network, got {dict(metadata)}") from error
    network = MattingNetwork(
        encoder,
        decoder_channels=decoder_channels,
        final_channels=final_channels,
        extra_channels=extra,
        residual=residual,
    )
    fill(network, state, name)
    return network.eval().requires_grad_(False)


def save_network(path: str | os.PathLike[str], network: MattingNetwork, state: Mapping[str, Tensor]) -> None:
    """Write weights of a network, its own or their running mean, to a ``.safetensors`` file that `network_of` reads."""
    from safetensors.torch import save

    content = save({key: value.detach().cpu().contiguous() for key, value in state.items()}, network.metadata)
    with atomic_file(path) as file:
        file.write(content)


def save_published(checkpoint: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Do what `fastsoft.matting.models.convert_published_weights` says."""
    name = os.fspath(checkpoint)
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"cannot read weights from {name}: no such file") from None
    except Exception as error:  # unpickling damaged files raises many kinds
        raise ValueError(f"cannot read weights from {name}: {error}") from error
    state = found.get("state_dict") if isinstance(found, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights {name} must be a dictionary with a state_dict of tensors, got {_described(found)}")
    network = MattingNetwork("resnet50d")
    fill(network, {key.removeprefix("module."): value.numpy() for key, value in state.items()}, name)
    save_network(output, network, network.state_dict())


def _described(found: Any) -> str:
    return f"one with {', '.join(map(str, list(found)[:5]))}" if isinstance(found, dict) else type(found).__name__
