# SPDX-License-Identifier: MIT
"""Checks README.md and docs/: commands that people copy, links, options that exist, merges that were resolved.

Usage: python tools/check_documents.py            checks everything
       python tools/check_documents.py command X  prints README's command X ("segment" or "test")
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from generate_cli_reference import help_text, nested, subcommands

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

COMMANDS = ("segment", "test")


def command(name: str) -> str:
    """Return the one-line command that README marks with `<!-- command: NAME -->`."""
    pattern = rf"<!-- command: {name} -->\s*```sh\n(.*?)\n```"
    blocks = re.findall(pattern, README.read_text(encoding="utf-8"), flags=re.DOTALL)
    if len(blocks) != 1 or "\n" in blocks[0]:
        raise SystemExit(f"README.md must hold one block of one line marked '<!-- command: {name} -->'")
    return str(blocks[0])


def documents() -> list[Path]:
    """Return the Markdown files of the repository that are its own."""
    names = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.splitlines() if not name.startswith("third_party/")]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ +(.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def check_links(path: Path) -> list[str]:
    """Find relative links and pictures whose target does not exist."""
    problems = []
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        if not linked.exists():
            problems.append(f"{path.relative_to(ROOT)}: link to {target}, which does not exist")
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            problems.append(f"{path.relative_to(ROOT)}: link to {target}, which has no such heading")
    return problems


def check_conflicts(path: Path) -> list[str]:
    """Find lines that a merge left to be resolved."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [k + 1 for k, line in enumerate(lines) if re.match(r"(<{7}|>{7}|\|{7})( |$)", line)]
    return [f"{path.relative_to(ROOT)}: line {number} is left of a merge" for number in found]


def check_command_lines(path: Path) -> list[str]:
    """Find subcommands and options of `fastsoft` in shell blocks that the program does not have."""
    problems = []
    for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            used = re.search(r"(?:^|[/ ])fastsoft +([a-z-]+)([^|&#]*)", line)
            if not used:
                continue
            name, rest = used.groups()
            if name not in subcommands():
                problems.append(f"{path.relative_to(ROOT)}: fastsoft has no subcommand {name}")
                continue
            rest = re.sub(r"\$\(.*?\)(?=[\"/ ])", "", rest)  # what another program prints
            words = [name, *(word for word in rest.split()[:1] if word in nested(name))]
            known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_text(*words)))
            for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", rest):
                if option not in known:
                    problems.append(f"{path.relative_to(ROOT)}: fastsoft {name} has no option {option}")
    return problems


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["command"] and len(arguments) == 2:
        print(command(arguments[1]))
        return 0
    for name in COMMANDS:
        command(name)
    checks = (check_links, check_conflicts, check_command_lines)
    problems = [problem for path in documents() for check in checks for problem in check(path)]
    for problem in problems:
        print(problem)
    print(f"documents: {len(documents())} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
