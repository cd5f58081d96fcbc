# SPDX-License-Identifier: MIT
"""Weights of networks: those that come with fastsoft, and files of the user's. Read without pickle.

``checksums.json`` holds the SHA-256 of every file here, ``NAME.md`` says what the weights are and where they come from,
and ``tools/ship_weights.py`` writes files and checksums.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["embedded_weights", "read_weights"]

_FOLDER = Path(__file__).parent


def embedded_weights(name: str, instead: str) -> tuple[Path, str]:
    """Find weights that come with fastsoft, and check that they are as they were shipped.

    Parameters
    ----------
    name : str
        "features" or "colors".
    instead : str
        What a user may do without them, for messages.

    Returns
    -------
    path : pathlib.Path
    checksum : str
        SHA-256 in hexadecimal.

    Raises
    ------
    ValueError
        If there are none of this name, or the installation's are missing or altered.
    """
    file = f"{name}.safetensors"
    path = _FOLDER / file
    again = f"install fastsoft again, or {instead}"
    try:
        checksums = json.loads((_FOLDER / "checksums.json").read_text(encoding="utf-8"))
        expected = checksums[file]
    except OSError:
        raise ValueError(f"this installation of fastsoft lacks {_FOLDER / 'checksums.json'}: {again}") from None
    except (ValueError, TypeError):
        raise ValueError(f"{_FOLDER / 'checksums.json'} is damaged: {again}") from None
    except KeyError:
        raise ValueError(f"weights that come with fastsoft are {', '.join(checksums)}, got {file}") from None
    if not path.is_file():
        raise ValueError(f"this installation of fastsoft lacks {path}: {again}")
    found = file_checksum(path)
    if found != expected:
        raise ValueError(f"weights {path} must have the SHA-256 checksum {expected}, got {found}: {again}")
    return path, found


def file_checksum(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
