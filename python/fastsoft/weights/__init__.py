# SPDX-License-Identifier: MIT
"""Weights of networks: read without pickle, and, if wanted, only if their checksum is right."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["read_weights"]


def read_weights(path: str | os.PathLike[str], *, checksum: str | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a file of weights.

    Parameters
    ----------
    path : path
        ``.safetensors``.
    checksum : str, optional
        SHA-256 that the file must have, in hexadecimal.

    Returns
    -------
    state : dict of ndarray
    metadata : dict of str

    Raises
    ------
    ValueError
        If the file is missing, truncated, of another format, or has another checksum.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read weights from {name}: {error.strerror or error}") from None
    if checksum is not None:
        found = hashlib.sha256(content).hexdigest()
        if found != checksum:
            raise ValueError(
                f"weights {name} must have the SHA-256 checksum {checksum}, got {found}: the file is damaged"
            )
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state = load(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"cannot read weights from {name}: {error}") from error
    return state, dict(header.get("__metadata__", {}))
