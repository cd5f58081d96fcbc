# SPDX-License-Identifier: MIT
"""The command ``fastsoft``: a module per subcommand.

Exit status: 0 if all went well, 1 if something failed (one line each on standard error), 2 for a wrong command line,
130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from fastsoft.cli import colors, composite, info, matte, recolor, segment, train

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build_parser", "main"]


class _Version(argparse.Action):
    """Prints the version; reads it from native code only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import fastsoft

        print(f"fastsoft {fastsoft.__version__}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="fastsoft", description="Decompose photographs into soft layers.", allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    segment.add_parser(commands)
    colors.add_parser(commands)
    recolor.add_parser(commands)
    matte.add_parser(commands)
    composite.add_parser(commands)
    train.add_parser(commands)
    info.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name. Default: those of the process.

    Returns
    -------
    int

    Raises
    ------
    SystemExit
        With status 2, if the arguments are wrong, and with 0 after ``--help`` and ``--version``.
    """
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("fastsoft: interrupted", file=sys.stderr)
        return 130
