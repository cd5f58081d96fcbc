# SPDX-License-Identifier: MIT
"""Puts trained weights into the package: half precision, the same bytes from the same weights, checksum on record.

Usage: python tools/ship_weights.py RUN/features.safetensors features
       python tools/ship_weights.py RUN/colors.safetensors colors --metadata gain=0.6 offset=0.5

Writes python/fastsoft/weights/NAME.safetensors and its SHA-256 into checksums.json beside it. NAME.md, the model card,
is written by hand. Needs the package to be installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastsoft._files import atomic_file
from fastsoft.weights import file_checksum, read_weights

FOLDER = Path(__file__).resolve().parents[1] / "python" / "fastsoft" / "weights"

# What a wheel may carry.
MOST_BYTES = 12_000_000

TYPES = {"float16": "F16", "int64": "I64"}


def half(name: str, array: Any) -> Any:
    """Round floats to half precision; refuse what it cannot hold."""
    if not np.issubdtype(array.dtype, np.floating):
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise ValueError(f"{name} must lie within half precision, got values up to {np.abs(array).max():g}")
    return rounded


def serialised(state: dict[str, Any], metadata: dict[str, str]) -> bytes:
    """Return a .safetensors file with tensors and metadata in the order of their names.

    The library's own writer leaves the order of metadata to chance, and with it the checksum. The format: length of the
    header in 8 bytes, little endian; header in JSON, padded with blanks; data without gaps.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    parts, position = [], 0
    # Wider types first, so that every tensor is aligned.
    for name, array in sorted(state.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        part = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [position, position + len(part)],
        }
        parts.append(part)
        position += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", help="file of weights that training wrote")
    parser.add_argument("name", help="name that the package knows them by, such as features")
    parser.add_argument("--metadata", nargs="*", default=[], metavar="KEY=VALUE", help="what the file says differently")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="(default: the package's)")
    options = parser.parse_args(arguments)
    try:
        state, metadata = read_weights(options.source)
        for entry in options.metadata:
            key, _, value = entry.partition("=")
            if key not in metadata:
                raise ValueError(f"--metadata must change one of {', '.join(sorted(metadata))}, got {entry}")
            metadata[key] = value
        content = serialised({name: half(name, array) for name, array in state.items()}, metadata)
        if len(content) > MOST_BYTES:
            raise ValueError(f"weights must be at most {MOST_BYTES} bytes, got {len(content)}")
        path = options.folder / f"{options.name}.safetensors"
        with atomic_file(path) as file:
            file.write(content)
        record = options.folder / "checksums.json"
        checksums = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        checksums[path.name] = file_checksum(path)
        with atomic_file(record) as file:
            file.write((json.dumps(checksums, indent=2, sort_keys=True) + "\n").encode())
    except (ValueError, KeyError, OSError) as error:
        print(f"ship_weights: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {len(content)} bytes, {checksums[path.name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
