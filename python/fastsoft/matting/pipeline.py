# SPDX-License-Identifier: MIT
"""From a photograph and a trimap to a foreground and a background: the stages in order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastsoft._arrays import namespace
from fastsoft._checks import check_choice, check_image
from fastsoft._device import cast, check_precision, find_device
from fastsoft._dispatch import find_place
from fastsoft._stages import timed_stage
from fastsoft.layers.result import Layers
from fastsoft.matting.closed_form import closed_form_matting
from fastsoft.matting.models import load_network, on_device, require_memory
from fastsoft.matting.planes import extra_planes
from fastsoft.matting.trimap import check_trimap
from fastsoft.ops.estimate_foreground import estimate_foreground
from fastsoft.ops.project_colors import project_colors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fastsoft.matting.network import MattingNetwork
    from fastsoft.matting.network_refinement import RefinementSettings

    Progress = Callable[[str, float], None]

__all__ = ["METHODS", "STAGES", "matte"]

METHODS = ("network", "closed_form")

# Name of every stage and roughly its share of the time, for progress bars.
STAGES = {"closed_form": 0.2, "network": 0.6, "colors": 0.2}


def matte(
    image: Any,
    trimap: Any,
    *,
    method: str = "network",
    weights: str | os.PathLike[str] | MattingNetwork | None = None,
    refine: bool | str | RefinementSettings = False,
    augment: bool = False,
    exact: bool = True,
    device: str | None = None,
    precision: str = "float32",
    progress: Progress | None = None,
) -> Layers:
    """Split a photograph into a foreground and a background, where a trimap leaves open what belongs to which.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1]. Of NumPy, or of torch or CuPy on a CUDA device.
    trimap : array, shape (H, W), uint8 or float32 or float64 in [0, 1]
        0 for known background, 1 (255) for known foreground, anything between for unknown, see `fastsoft.check_trimap`.
        On the device of `image`.
    method : {"network", "closed_form"}, default "network"
        How alphas are found: by the matting network, or by closed-form matting alone.
    weights : path or MattingNetwork, optional
        Of the network: ``.safetensors`` of ``fastsoft train matting`` or of the published checkpoint, see
        `fastsoft.matting.load_network`. By default those that come with fastsoft.
    refine : bool or str or RefinementSettings, default False
        Backpropagating refinement of the network's alpha, as for `fastsoft.network_matting`.
    augment : bool, default False
        Mean of the network's alphas of 24 turned, mirrored and resized photographs.
    exact : bool, default True
        Change the estimated colours as little as possible so that foreground over background is the photograph
        (`fastsoft.project_colors`).
    device : {"cpu", "cuda", "cuda:N", "auto"}, optional
        Where to compute. Default: where the image is, which for NumPy arrays is the CPU. "cuda" takes the first CUDA
        device; "auto" does where there is one, and else the CPU.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of the network's convolutions, but not of those that are refined; float16 not on the CPU.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` within and between stages. An exception raised in it ends the run.

    Returns
    -------
    Layers
        Two of them, foreground and background, with colours of their own, which do not show what shines through from
        the other; of the image's library, device and dtype.

    Raises
    ------
    CudaError
        If a device is asked for that is not there.
    MemoryError
        If the device has less memory free than the run is estimated to need (`fastsoft.matting.device_memory`); before
        it starts.
    TypeError, ValueError
        If an argument has another type, shape or range, or options do not go with the method.

    Notes
    -----
    Colours are estimated by `fastsoft.estimate_foreground` with its defaults.

    On a device everything is computed there; closed-form matting, the method and one of the planes that the network
    which comes with fastsoft is given, in float64 by conjugate gradients. On a device refined alphas may differ by
    rounding from run to run. What bfloat16 costs in quality: ``benchmarks/results/precision.md``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> image = np.zeros((8, 12, 3))
    >>> image[:, :6] = 1.0
    >>> trimap = np.full((8, 12), 128, dtype=np.uint8)
    >>> trimap[:, :3], trimap[:, 9:] = 255, 0
    >>> layers = fastsoft.matte(image, trimap, method="closed_form")
    >>> layers.alphas[0, :, 0].round(3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    where = find_device(device, image=image, trimap=trimap)
    precision = check_precision(precision, where)
    photograph = image
    if where is None or where.library == "numpy":
        photograph = image = check_image(image)
        trimap = check_trimap(trimap, image.shape)
        itemsize = image.dtype.itemsize
    else:
        itemsize = check_image(image, place=find_place(image=image, trimap=trimap)).dtype.itemsize
    check_choice(method, "method", METHODS)
    if method == "closed_form":
        for name, given in (("weights", weights is not None), ("refine", bool(refine)), ("augment", bool(augment))):
            if given:
                raise ValueError(f"{name} must not be given with method 'closed_form', which has no network")
    network = None
    if method == "network":
        network = load_network(weights) if weights is None or isinstance(weights, (str, os.PathLike)) else weights

    if where is not None:
        require_memory(where, image.shape, network, refine=bool(refine), augment=augment, itemsize=itemsize)

    timings: dict[str, float] = {}

    def stage(name: str) -> AbstractContextManager[Callable[[float], None] | None]:
        return timed_stage(name, timings, progress)

    if where is not None:
        image, trimap = on_device(where, image, trimap)
    if network is None:
        with stage("closed_form") as report:
            alpha = closed_form_matting(image, trimap, progress=report)
    else:
        from fastsoft.matting.network_inference import predict_alpha

        extra = None
        if network.extra_channels:
            with stage("closed_form"):
                extra = extra_planes(network.extra_channels, image, trimap)
        with stage("network") as report:
            alpha = predict_alpha(
                network,
                image,
                trimap,
                extra,
                refine=refine,
                augment=augment,
                where=where,
                precision=precision,
                progress=report,
            )
            del extra
    with stage("colors") as report:
        if where is not None:
            alpha = where.tensor(alpha)
        xp, alpha = namespace(image), cast(alpha, image.dtype)
        alphas = xp.stack([alpha, 1 - alpha], 2)
        colors = xp.stack(estimate_foreground(image, alpha, return_background=True, progress=report), 2)
        if exact:
            colors = project_colors(alphas, colors, image, out=colors)
        if where is not None:
            alphas, colors = where.result(alphas), where.result(colors)
    settings = {
        "method": method,
        "weights": None if network is None else network.source,
        "refine": refine if isinstance(refine, (bool, str)) else repr(refine),
        "augment": bool(augment),
        "exact": bool(exact),
        "device": "cpu" if where is None else where.name,
        "precision": None if network is None else precision,
    }
    return Layers(alphas, photograph, 0.0, timings, settings, colors=colors)
