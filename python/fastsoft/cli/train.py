# SPDX-License-Identifier: MIT
"""``fastsoft train``: networks trained from folders of photographs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from fastsoft.cli._photos import at_least, use_threads

# Takes the output folder and what the networks have in common.
Train = Callable[..., object]

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train", help="train the networks", description="Train the networks.", allow_abbrev=False
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="NETWORK")
    features = kinds.add_parser(
        "features",
        help="the network that tells objects apart",
        description="Train the network that gives every pixel a feature vector, from photographs with maps of their "
        "regions. A run that was interrupted goes on where it stopped when the command is given again. Defaults are "
        "the paper's, but for the backbone.",
        allow_abbrev=False,
    )
    features.add_argument("data", metavar="FOLDER", help="holds images/ and labels/ (and labels_all/)")
    features.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for weights and checkpoints")
    features.add_argument("--initial", metavar="FILE", help="weights to start from: .safetensors, backbone or whole")
    features.add_argument("--backbone", default="mobilenetv2-deeplab", metavar="NAME", help="(default: %(default)s)")
    features.add_argument("--steps", type=at_least(1), default=60_000, metavar="N", help="(default: %(default)s)")
    for option, name, low, default, what in (
        ("--regions", "n_regions", 2, 3, "regions drawn"),
        ("--pixels", "n_pixels", 1, 1000, "pixels of a region"),
        ("--samplings", "n_samplings", 1, 10, "samplings of a photo"),
        ("--accumulate", "accumulate", 1, 1, "photos per update"),
    ):
        features.add_argument(
            option, dest=name, type=at_least(low), default=default, metavar="N", help=f"{what} (default: %(default)s)"
        )
    features.add_argument("--optimizer", choices=("sgd", "adamw"), default="sgd", help="(default: %(default)s)")
    for option, name, rate, what in (
        ("--rate-base", "learning_rate_base", 5e-4, "learning rate of the backbone"),
        ("--rate-new", "learning_rate_new", 5e-3, "learning rate of the new layers"),
    ):
        features.add_argument(
            option, dest=name, type=float, default=rate, metavar="R", help=f"{what} (default: %(default)s)"
        )
    features.add_argument("--weight-decay", type=float, default=5e-4, metavar="R", help="(default: 5e-4)")
    features.add_argument("--by-area", action="store_true", help="draw pixels from the whole photo, not per region")
    features.add_argument("--balanced", action="store_true", help="pairs within and between regions count the same")
    features.add_argument("--dropout", type=float, default=0.5, metavar="P", help="(default: 0.5)")
    features.add_argument("--freeze-base", action="store_true", help="train the new layers only")
    features.add_argument("--no-augment", dest="augment", action="store_false", help="photographs as they are")
    features.add_argument(
        "--average", type=float, default=0.0, metavar="SHARE", help="write the running mean of the weights, e.g. 0.995"
    )
    features.add_argument(
        "--keep-every", type=at_least(1), metavar="N", help="also keep the weights of every so many steps"
    )
    features.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    features.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed (default: 0)")
    features.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")
    features.set_defaults(run=_train_features)
    _add_colors(kinds)
    _add_matting(kinds)


def _add_colors(kinds: Any) -> None:
    colors: argparse.ArgumentParser = kinds.add_parser(
        "colors",
        help="the network that splits photographs into layers of homogeneous colour",
        description="Train the network that splits photographs into layers of homogeneous colour, from photographs "
        "alone. A run that was interrupted goes on where it stopped when the command is given again.",
        allow_abbrev=False,
    )
    colors.add_argument("data", nargs="+", metavar="FOLDER", help="holds photographs, or a folder images/ of them")
    colors.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for weights and checkpoints")
    colors.add_argument("--initial", metavar="FILE", help="weights of such a network to start from: .safetensors")
    for option, name, low, default, what in (
        ("--steps", "steps", 1, 20_000, "updates of the weights"),
        ("--batch", "batch", 1, 4, "photos per update"),
        ("--crop", "crop", 16, 192, "pixels along a side of what is cut from them, a multiple of 16"),
        ("--low", "low", 2, 2, "fewest colours of a palette"),
        ("--high", "high", 2, 10, "most colours of a palette"),
        ("--descent", "descent", 0, 2, "steps of gradient descent on the alphas within the network"),
    ):
        colors.add_argument(
            option, dest=name, type=at_least(low), default=default, metavar="N", help=f"{what} (default: %(default)s)"
        )
    for option, name, share, what in (
        ("--rate", "learning_rate", 1e-3, "learning rate"),
        ("--recomposition", "recomposition", 1.0, "weight of the loss L_r, 0: without"),
        ("--palette-recomposition", "palette_recomposition", 1.0, "weight of L_a"),
        ("--distance", "distance", 0.5, "weight of L_d"),
        ("--offset-recomposition", "offset_recomposition", 0.5, "weight of the loss of palette colours and offsets"),
        ("--sparsity", "sparsity", 0.01, "weight of the sparsity of alphas"),
        ("--width", "width", 1.0, "factor on the numbers of features"),
        ("--average", "average", 0.999, "share that the running mean of the weights keeps, 0: none"),
    ):
        colors.add_argument(
            option, dest=name, type=float, default=share, metavar="R", help=f"{what} (default: %(default)s)"
        )
    colors.add_argument("--no-skips", dest="skips", action="store_false", help="network without skip connections")
    colors.add_argument("--no-augment", dest="augment", action="store_false", help="photographs and palettes as found")
    colors.add_argument("--keep-every", type=at_least(1), metavar="N", help="also keep the weights of every N updates")
    colors.add_argument("--threads", type=at_least(1), metavar="N", help="threads (default: all processors)")
    colors.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    colors.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed (default: 0)")
    colors.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")
    colors.set_defaults(run=_train_colors)


def _add_matting(kinds: Any) -> None:
    matting: argparse.ArgumentParser = kinds.add_parser(
        "matting",
        help="the network that finds alphas from a photograph and a trimap",
        description="Train the network that finds alphas from a photograph and a trimap, on foregrounds of known alpha "
        "and drawn ones that are composed over photographs. A run that was interrupted goes on where it stopped when "
        "the command is given again.",
        allow_abbrev=False,
    )
    matting.add_argument("foregrounds", metavar="FOREGROUNDS", help="folder that holds image/ and alpha/")
    matting.add_argument(
        "backgrounds", nargs="+", metavar="BACKGROUNDS", help="folder of photographs, or with images/ of them"
    )
    matting.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for weights and checkpoints")
    matting.add_argument("--initial", metavar="FILE", help="weights to start from: .safetensors, encoder or whole")
    matting.add_argument("--encoder", default="mobilenet_v2", metavar="NAME", help="(default: %(default)s)")
    matting.add_argument(
        "--closed-form-channel",
        dest="closed_form",
        action="store_true",
        help="the network corrects the alpha of closed-form matting",
    )
    matting.add_argument(
        "--color-posterior-channel",
        dest="color_posterior",
        action="store_true",
        help="the network is told how likely a pixel's colour is foreground",
    )
    for option, name, low, default, what in (
        ("--steps", "steps", 1, 100_000, "updates of the weights"),
        ("--batch", "batch", 1, 4, "crops per update"),
        ("--crop", "crop", 32, 256, "pixels along a side of a crop, a multiple of 32"),
        ("--dilation", "dilation", 1, 24, "most pixels by which trimaps reach beyond mixed pixels"),
    ):
        matting.add_argument(
            option, dest=name, type=at_least(low), default=default, metavar="N", help=f"{what} (default: %(default)s)"
        )
    for option, name, value, what in (
        ("--rate", "learning_rate", 5e-4, "learning rate of the decoder"),
        ("--rate-encoder", "learning_rate_encoder", 1e-4, "learning rate of the encoder"),
        ("--weight-decay", "weight_decay", 1e-4, "weight decay"),
        ("--weight-decay-norm", "weight_decay_norm", 1e-4, "weight decay of batch norm"),
        ("--average", "average", 0.999, "share that the running mean of the weights keeps, 0: none"),
        ("--zoom-low", "zoom_low", 0.7, "a pixel of a crop is at least so many of the foreground's"),
        ("--zoom-high", "zoom_high", 2.0, "a pixel of a crop is at most so many of the foreground's"),
    ):
        matting.add_argument(
            option, dest=name, type=float, default=value, metavar="R", help=f"{what} (default: %(default)s)"
        )
    chances = matting.add_argument_group("probabilities of a crop; 0 switches off")
    for name, (share, what) in {
        "procedural": (0.5, "drawn foreground instead of one of the folder"),
        "combine": (0.2, "two foregrounds, one over the other"),
        "center": (0.8, "centre on a mixed pixel, not on any that is not transparent"),
        "rotate": (0.5, "turn"),
        "flip": (0.5, "mirror"),
        "gamma": (0.3, "change alpha by a power"),
        "recolor": (0.3, "mix the foreground with a random colour (CA)"),
        "negative": (0.1, "invert the foreground's colours"),
        "permute": (0.2, "permute the foreground's channels"),
        "jitter": (0.5, "change brightness, contrast and saturation"),
        "match": (0.3, "shift the background's colours towards the foreground's"),
        "blur": (0.2, "blur foreground and background, not alpha"),
        "resample": (0.2, "resize foreground and background and back"),
        "background_blur": (0.5, "blur the background"),
        "defocus": (0.15, "blur foreground and alpha"),
        "motion": (0.05, "blur foreground and alpha along a line"),
        "noise": (0.4, "add noise"),
        "jpeg": (0.3, "compress"),
        "wide": (0.3, "trimap that reaches up to twice as far"),
        "rough": (0.5, "trimap that reaches differently far over the crop"),
    }.items():
        chances.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=share, metavar="P", help=f"{what} (default: %(default)s)"
        )
    for option, name, action, what in (
        ("--recolor-channels", "recolor_channels", "store_true", "CA with a weight for every channel"),
        ("--no-estimate", "estimate", "store_false", "pictures hold the foreground's colours alone: use them as found"),
        ("--no-refine", "refine", "store_false", "without refinement of the foreground's colours (RF)"),
        ("--no-hard-edges", "hard_edges", "store_false", "edges without a mixed pixel stay known in trimaps"),
        ("--no-forgive", "forgive", "store_false", "predictions beyond 0 and 1 cost something everywhere"),
        ("--no-fractional", "fractional", "store_false", "coarse levels of the loss see unknown pixels only"),
        ("--bfloat16", "bfloat16", "store_true", "convolve in bfloat16, where the processor can"),
    ):
        matting.add_argument(option, dest=name, action=action, help=what)
    matting.add_argument("--keep-every", type=at_least(1), metavar="N", help="also keep the weights of every N updates")
    matting.add_argument("--threads", type=at_least(1), metavar="N", help="threads (default: all processors)")
    matting.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    matting.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed (default: 0)")
    matting.add_argument("-q", "--quiet", action="store_true", help="no progress, only errors")
    matting.set_defaults(run=_train_matting)


def _train_features(arguments: argparse.Namespace) -> int:
    def prepare() -> tuple[int, Train]:
        from fastsoft.semantic.training import FeatureTraining, RegionFolder, train_features

        settings = FeatureTraining(**{f.name: getattr(arguments, f.name) for f in fields(FeatureTraining)})
        data = RegionFolder(arguments.data)
        for reason in data.skipped:
            print(f"fastsoft: left out {reason}", file=sys.stderr)
        return settings.steps, partial(train_features, data, settings)

    return _train(arguments, prepare, "features")


def _train_colors(arguments: argparse.Namespace) -> int:
    def prepare() -> tuple[int, Train]:
        from fastsoft.color.training import ColorTraining, PhotoFolders, train_colors

        settings = ColorTraining(**{f.name: getattr(arguments, f.name) for f in fields(ColorTraining)})
        data = PhotoFolders(arguments.data)
        use_threads(arguments.threads)
        return settings.steps, partial(train_colors, data, settings)

    return _train(arguments, prepare, "colors")


def _train_matting(arguments: argparse.Namespace) -> int:
    def prepare() -> tuple[int, Train]:
        from fastsoft.matting.composition import CompositionData, CompositionSettings
        from fastsoft.matting.training import MattingTraining, train_matting

        composition = CompositionSettings(**{f.name: getattr(arguments, f.name) for f in fields(CompositionSettings)})
        own = {f.name: getattr(arguments, f.name) for f in fields(MattingTraining) if f.name != "composition"}
        settings = MattingTraining(**own, composition=composition)
        data = CompositionData(arguments.foregrounds, arguments.backgrounds)
        use_threads(arguments.threads)
        return settings.steps, partial(train_matting, data, settings)

    return _train(arguments, prepare, "matting")


def _train(arguments: argparse.Namespace, prepare: Callable[[], tuple[int, Train]], name: str) -> int:
    try:
        steps, train = prepare()
        from tqdm import tqdm

        with tqdm(total=steps, disable=arguments.quiet, file=sys.stderr, mininterval=1) as bar:
            mean: list[float] = []

            def tell(step: int, loss: float) -> None:
                mean[:] = [loss if not mean else 0.98 * mean[0] + 0.02 * loss]
                bar.set_postfix_str(f"loss {mean[0]:.4f}", refresh=False)
                bar.update(step - bar.n)

            train(
                arguments.output,
                initial_weights=arguments.initial,
                device=arguments.device,
                keep_every=arguments.keep_every,
                progress=tell,
            )
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        print(f"fastsoft: {error}", file=sys.stderr, flush=True)
        return 1
    if not arguments.quiet:
        print(f"weights in {arguments.output}/{name}.safetensors", flush=True)
    return 0
