# SPDX-License-Identifier: MIT
"""One command per job, each in an environment of its own: nox -s NAME."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "typing", "generated", "tests"]

CONSTRAINTS = ("-c", "constraints.txt")


def extra_requirements(session: nox.Session, *extras: str) -> list[str]:
    """Return what the named groups of pyproject.toml need, besides fastsoft itself."""
    output = session.run("python", "tools/extra_requirements.py", *extras, silent=True)
    return str(output).split()


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layout of all sources."""
    session.install(*CONSTRAINTS, "ruff", "clang-format", "numpy")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    patterns = ("cpp/*.[ch]pp", "python/bindings/*.[ch]pp", "cuda/*.cu", "cuda/*.cuh", "cuda/*.hpp")
    files = str(session.run("git", "ls-files", *patterns, silent=True, external=True)).split()
    session.run("clang-format", "--dry-run", "-Werror", *files)
    session.run("python", "tools/check_layout.py")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types strictly."""
    session.install(*CONSTRAINTS, "mypy", "numpy")
    session.run("mypy")


@nox.session
def generated(session: nox.Session) -> None:
    """Compare generated files and documents with the package."""
    session.install(*CONSTRAINTS, ".", "pybind11-stubgen")
    session.run("bash", "tools/generate_all.sh", "--check", external=True, env={"PYTHON": "python"})
    session.run("python", "tools/check_documents.py")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests on the installed wheel."""
    session.install(*CONSTRAINTS, ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
@nox.parametrize("sanitizer", ["asan", "tsan"])
def sanitize(session: nox.Session, sanitizer: str) -> None:
    """Run all tests under a sanitizer."""
    session.run("bash", "tools/run_sanitizers.sh", sanitizer, *session.posargs, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure every operation; positional arguments go to pytest."""
    session.install(*CONSTRAINTS, ".", *extra_requirements(session, "bench"))
    session.run("python", "-m", "pytest", "benchmarks", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the source archive and the wheel into dist/."""
    session.install("build")
    session.run("python", "-m", "build")
