# SPDX-License-Identifier: MIT
"""``fastsoft info``: what is installed and what the program would use."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="show version, device, instruction set, threads and CUDA",
        description="Show what fastsoft runs on.",
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    from importlib.metadata import version

    from fastsoft._environment import environment
    from fastsoft._native import cuda_facts

    facts = environment() | {name: version(name) for name in ("scipy", "pillow")} | cuda_facts()
    for name, value in facts.items():
        print(f"{name.replace('_', ' ')}: {value}")
    return 0
