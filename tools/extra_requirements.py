# SPDX-License-Identifier: MIT
"""Prints the requirements of optional dependency groups of pyproject.toml, one per line, without fastsoft itself.

Installing them by name spares building the package again, as `pip install .[dev]` would.
Usage: python tools/extra_requirements.py EXTRA...
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """Return the requirements of the named groups, references between groups followed, without duplicates."""
    groups = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    found: dict[str, None] = {}
    for extra in extras:
        for requirement in groups[extra]:
            if requirement.startswith("fastsoft["):
                inner = requirement.removeprefix("fastsoft[").removesuffix("]").split(",")
                found.update(dict.fromkeys(requirements(inner)))
            else:
                found[requirement] = None
    return list(found)


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
