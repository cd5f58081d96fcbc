# SPDX-License-Identifier: MIT
"""Checks that the tree is what docs/design.md says: complete operations, documented names, allowed imports.

Usage: python tools/check_layout.py
Prints every deviation and exits with 1 if there is one. Reads files only; the package need not be installed.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "fastsoft"

# Bindings of what operations are built on, rather than of an operation.
INFRASTRUCTURE = {"parallel", "symmetric_operator"}

# What each operation consists of, named by its stem.
OPERATION_FILES = (
    "cpp/include/fastsoft/{}.hpp",
    "cpp/src/{}.cpp",
    "python/bindings/bind_{}.cpp",
    "python/fastsoft/ops/{}.py",
    "tests/reference/{}.py",
    "tests/ops/test_{}.py",
    "benchmarks/bench_{}.py",
)

# What an operation that runs on CUDA devices consists of besides. Its header declares a function there, or there are
# kernels of its name.
CUDA_OPERATION_FILES = (
    "cuda/src/{}.cu",
    "cpp/include/fastsoft/detail/{}_block.hpp",
    "cpp/tests/test_{}_block.cpp",
)
# Sources of cuda/src/ that are no operations.
CUDA_INFRASTRUCTURE = {"context", "pixel_planes", "sort", "symmetric_operator", "tall_matrix", "value_range"}
# Iterations without kernels of their own: loops over those of the infrastructure.
CUDA_ITERATIONS = {"lanczos"}

# Modules of ops/ that hold what several operations share.
SHARED_OPS_MODULES = {"__init__", "solver_info"}

# Heavy libraries, and the only files that may import them. An empty tuple: nothing in the package may.
RESTRICTED_IMPORTS = {
    "torch": ("network*.py", "training*.py"),
    "av": ("video_files.py",),
    "cupy": ("_dispatch.py",),
    "torchvision": (),
    "timm": (),
    "numba": (),
    "cv2": (),
    "skimage": (),
    "pymatting": (),
}

SOURCE_SUFFIXES = {".py", ".pyi", ".cpp", ".hpp", ".cu", ".cuh"}


def tracked_files() -> list[Path]:
    """Return the files of the repository, committed or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def stems(pattern: str) -> set[str]:
    """Return what stands in place of the one * of a pattern, for all files that match it."""
    head, _, tail = Path(pattern).name.partition("*")
    return {path.name[len(head) : len(path.name) - len(tail)] for path in ROOT.glob(pattern)}


def operations() -> set[str]:
    """Return the stems of all operations: whatever has a binding or a module in ops/."""
    return (stems("python/bindings/bind_*.cpp") - INFRASTRUCTURE) | (
        stems("python/fastsoft/ops/*.py") - SHARED_OPS_MODULES
    )


def check_operations() -> list[str]:
    """Find missing files of operations, and bindings that are not compiled or not registered."""
    problems = []
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    module = (ROOT / "python" / "bindings" / "module.cpp").read_text(encoding="utf-8")
    for stem in sorted(operations()):
        for pattern in OPERATION_FILES:
            if not (ROOT / pattern.format(stem)).is_file():
                problems.append(f"operation {stem}: {pattern.format(stem)} is missing")
        if f"bind_{stem}(module)" not in module:
            problems.append(f"operation {stem}: python/bindings/module.cpp does not call bind_{stem}")
    for source in sorted([*ROOT.glob("cpp/src/*.cpp"), *ROOT.glob("python/bindings/bind_*.cpp")]):
        if source.relative_to(ROOT).as_posix() not in cmake:
            problems.append(f"{source.relative_to(ROOT)}: CMakeLists.txt does not list it")
    return problems


def cuda_operations() -> set[str]:
    """Return the stems of the operations that run on CUDA devices."""
    headers = ROOT.glob("cpp/include/fastsoft/*.hpp")
    declared = {path.stem for path in headers if "\nnamespace cuda {" in path.read_text(encoding="utf-8")}
    return declared | (stems("cuda/src/*.cu") - CUDA_INFRASTRUCTURE)


def check_cuda_operations() -> list[str]:
    """Find missing files of CUDA operations, and what is not compiled, registered or tested."""
    problems = []
    cmake = (ROOT / "cuda" / "CMakeLists.txt").read_text(encoding="utf-8")
    module = (ROOT / "python" / "bindings" / "cuda_module.cpp").read_text(encoding="utf-8")
    for stem in sorted(cuda_operations()):
        for pattern in CUDA_OPERATION_FILES[: 1 if stem in CUDA_ITERATIONS else None]:
            if not (ROOT / pattern.format(stem)).is_file():
                problems.append(f"CUDA operation {stem}: {pattern.format(stem)} is missing")
        header = ROOT / "cpp" / "include" / "fastsoft" / f"{stem}.hpp"
        if not header.is_file() or "\nnamespace cuda {" not in header.read_text(encoding="utf-8"):
            problems.append(f"CUDA operation {stem}: its header does not declare it in namespace cuda")
        if f"python/bindings/bind_{stem}.cpp" not in cmake:
            problems.append(f"CUDA operation {stem}: cuda/CMakeLists.txt does not compile bind_{stem}.cpp again")
        if f"bind_{stem}(module)" not in module:
            problems.append(f"CUDA operation {stem}: python/bindings/cuda_module.cpp does not call bind_{stem}")
        test = ROOT / "tests" / "ops" / f"test_{stem}.py"
        if test.is_file() and "backend" not in test.read_text(encoding="utf-8"):
            problems.append(f"CUDA operation {stem}: tests/ops/test_{stem}.py does not use the backend fixture")
    for source in sorted(ROOT.glob("cuda/src/*.cu")):
        if f"src/{source.name}" not in cmake:
            problems.append(f"{source.relative_to(ROOT)}: cuda/CMakeLists.txt does not list it")
    tests = (ROOT / "cpp" / "tests" / "CMakeLists.txt").read_text(encoding="utf-8")
    for source in sorted(ROOT.glob("cpp/tests/test_*.cpp")):
        if source.name not in tests:
            problems.append(f"{source.relative_to(ROOT)}: cpp/tests/CMakeLists.txt does not list it")
    return problems


def check_type_names() -> list[str]:
    """Find types of one name in several headers.

    Headers meet in one module, where the linker keeps one of two instances of the same name, whatever they are made of.
    """
    problems = []
    found: dict[str, str] = {}
    for path in sorted(ROOT.glob("cpp/include/fastsoft/**/*.hpp")):
        where = path.relative_to(ROOT).as_posix()
        for name in re.findall(
            r"^(?:struct|class) (\w+)(?: final)?(?: : [^;\n]*)? \{", path.read_text(encoding="utf-8"), re.M
        ):
            if found.setdefault(name, where) != where:
                problems.append(f"{where}: type {name} has the name of one in {found[name]}")
    return problems


def lazy_names() -> tuple[dict[str, str], dict[str, str]]:
    """Return public name -> module twice: as loaded at run time, and as declared to type checkers."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    at_run_time: dict[str, str] = {}
    declared: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_LAZY":
            at_run_time = ast.literal_eval(node.value)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom) and statement.module:
                    for alias in statement.names:
                        declared[alias.asname or alias.name] = statement.module.removeprefix("fastsoft.")
    return at_run_time, declared


def check_public_names() -> list[str]:
    """Find public names that are loaded and declared differently, out of order, or not in the documentation."""
    at_run_time, declared = lazy_names()
    problems = [
        f"python/fastsoft/__init__.py: {name} is {at_run_time.get(name)} in _LAZY, {declared.get(name)} for typing"
        for name in sorted(at_run_time.keys() | declared.keys())
        if at_run_time.get(name) != declared.get(name)
    ]
    if list(at_run_time) != sorted(at_run_time):
        problems.append("python/fastsoft/__init__.py: _LAZY is not sorted")
    documentation = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md"))
    problems += [
        f"docs: fastsoft.{name} is not documented (run tools/generate_api_reference.py)"
        for name in at_run_time
        if not re.search(rf"\bfastsoft\.{name}\b", documentation)
    ]
    return problems


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a module imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def check_imports() -> list[str]:
    """Find imports of heavy libraries outside the files meant for them."""
    problems = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for package in sorted(imported_packages(path) & RESTRICTED_IMPORTS.keys()):
            if not any(path.match(pattern) for pattern in RESTRICTED_IMPORTS[package]):
                problems.append(f"{path.relative_to(ROOT)}: must not import {package}")
    return problems


def check_files(files: list[Path]) -> list[str]:
    """Find sources without an SPDX line, and copies of the version number."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = re.compile(rf"(?<![\d.]){re.escape(project['version'])}(?![\d.])")
    problems = []
    for path in files:
        name = path.relative_to(ROOT)
        if name.parts[0] == "third_party":
            continue
        is_build_file = path.name == "CMakeLists.txt" or path.suffix in {".cmake", ".cff"}
        if path.suffix not in SOURCE_SUFFIXES and not is_build_file:
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix in SOURCE_SUFFIXES and "SPDX-License-Identifier: MIT" not in text[:80]:
            problems.append(f"{name}: must begin with an SPDX line")
        if version.search(text):
            problems.append(f"{name}: holds the version number, which belongs in pyproject.toml alone")
    return problems


def main() -> int:
    problems = [
        *check_operations(),
        *check_cuda_operations(),
        *check_type_names(),
        *check_public_names(),
        *check_imports(),
        *check_files(tracked_files()),
    ]
    for problem in problems:
        print(problem)
    n_operations, n_cuda, n_names = len(operations()), len(cuda_operations()), len(lazy_names()[0])
    print(f"layout: {n_operations} operations ({n_cuda} on CUDA), {n_names} public names, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
