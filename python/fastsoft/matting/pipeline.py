# SPDX-License-Identifier: MIT
"""From a photograph and a trimap to a foreground and a background: the stages in order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_choice, check_image
from fastsoft._stages import timed_stage
from fastsoft.layers.result import Layers
from fastsoft.matting.closed_form import closed_form_matting
from fastsoft.matting.models import load_network, network_matting
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
    progress: Progress | None = None,
) -> Layers:
    """Split a photograph into a foreground and a background, where a trimap leaves open what belongs to which.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64
        RGB in [0, 1].
    trimap : ndarray, shape (H, W), uint8 or float32 or float64 in [0, 1]
        0 for known background, 1 (255) for known foreground, anything between for unknown, see `fastsoft.check_trimap`.
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
    progress : callable, optional
        Called as ``progress(stage, fraction)`` within and between stages. An exception raised in it ends the run.

    Returns
    -------
    Layers
        Two of them, foreground and background, with colours of their own, which do not show what shines through from
        the other; of the image's dtype.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or options do not go with the method.

    Notes
    -----
    Colours are estimated by `fastsoft.estimate_foreground` with its defaults.

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
    image = check_image(image)
    trimap = check_trimap(trimap, image.shape)
    check_choice(method, "method", METHODS)
    if method == "closed_form":
        for name, given in (("weights", weights is not None), ("refine", bool(refine)), ("augment", bool(augment))):
            if given:
                raise ValueError(f"{name} must not be given with method 'closed_form', which has no network")
    network = None
    if method == "network":
        network = load_network(weights) if weights is None or isinstance(weights, (str, os.PathLike)) else weights

    timings: dict[str, float] = {}

    def stage(name: str) -> AbstractContextManager[Callable[[float], None] | None]:
        return timed_stage(name, timings, progress)

    if network is None:
        with stage("closed_form") as report:
            alpha = closed_form_matting(image, trimap, progress=report)
    else:
        extra = None
        if network.extra_channels:
            with stage("closed_form"):
                extra = extra_planes(network.extra_channels, image, trimap)
        with stage("network") as report:
            alpha = network_matting(
                image, trimap, weights=network, extra=extra, refine=refine, augment=augment, progress=report
            )
    with stage("colors") as report:
        alpha = np.asarray(alpha, dtype=image.dtype)
        alphas = np.stack([alpha, 1 - alpha], axis=2)
        colors = np.stack(estimate_foreground(image, alpha, return_background=True, progress=report), axis=2)
        if exact:
            colors = project_colors(alphas, colors, image, out=colors)
    settings = {
        "method": method,
        "weights": None if network is None else network.source,
        "refine": refine if isinstance(refine, (bool, str)) else repr(refine),
        "augment": bool(augment),
        "exact": bool(exact),
    }
    return Layers(alphas, image, 0.0, timings, settings, colors=colors)
