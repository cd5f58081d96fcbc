# SPDX-License-Identifier: MIT
"""Exception classes of fastsoft.

Bad arguments raise the built-in `ValueError` and `TypeError`; the classes here are for what
a caller may want to catch by name.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Cancelled", "ConvergenceError", "CudaError", "ImageReadError", "VideoReadError"]


class ConvergenceError(RuntimeError):
    """An iterative solver stopped before it reached its tolerance.

    Attributes
    ----------
    result : object or None
        The best result so far, of the type the function would have returned.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class CudaError(RuntimeError):
    """CUDA was asked for and cannot be used here, or a call of the CUDA runtime failed; the message says why."""


class ImageReadError(ValueError):
    """A file is not an image that can be read: missing, truncated, corrupt or too large."""


class VideoReadError(ValueError):
    """A file is not a clip that can be read: missing, damaged from the start, without video, or too large."""


class Cancelled(RuntimeError):
    """Raise this from a progress callback to stop a running operation."""
