# SPDX-License-Identifier: MIT
"""The tree is what docs/design.md says, and the checker of that notices when it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import check_documents  # noqa: E402
import check_layout  # noqa: E402


def test_tree_has_the_declared_layout():
    problems = [
        *check_layout.check_operations(),
        *check_layout.check_cuda_operations(),
        *check_layout.check_type_names(),
        *check_layout.check_public_names(),
        *check_layout.check_imports(),
        *check_layout.check_files(check_layout.tracked_files()),
    ]
    assert problems == []


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the checked files that a test may spoil."""
    for path in check_layout.tracked_files():
        name = path.relative_to(ROOT)
        if name.parts[0] != "third_party":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(path.read_bytes())
    monkeypatch.setattr(check_layout, "ROOT", tmp_path)
    monkeypatch.setattr(check_layout, "PACKAGE", tmp_path / "python" / "fastsoft")
    return tmp_path


def test_missing_file_of_an_operation_is_found(copy):
    (copy / "tests" / "reference" / "image_gradient.py").unlink()
    assert "operation image_gradient: tests/reference/image_gradient.py is missing" in check_layout.check_operations()


def test_operation_without_binding_is_found(copy):
    (copy / "python" / "fastsoft" / "ops" / "new_operation.py").write_text("# SPDX-License-Identifier: MIT\n")
    problems = check_layout.check_operations()
    assert "operation new_operation: python/bindings/bind_new_operation.cpp is missing" in problems


def test_parts_of_a_cuda_operation_that_are_missing_are_found(copy):
    (copy / "cuda" / "src" / "image_gradient.cu").unlink()
    (copy / "cpp" / "tests" / "test_guided_filter_block.cpp").unlink()
    (copy / "cuda" / "src" / "new_operation.cu").write_text("// SPDX-License-Identifier: MIT\n")
    (copy / "tests" / "ops" / "test_new_operation.py").write_text("# SPDX-License-Identifier: MIT\n")
    assert check_layout.check_cuda_operations() == [
        "CUDA operation guided_filter: cpp/tests/test_guided_filter_block.cpp is missing",
        "CUDA operation image_gradient: cuda/src/image_gradient.cu is missing",
        "CUDA operation new_operation: cpp/include/fastsoft/detail/new_operation_block.hpp is missing",
        "CUDA operation new_operation: cpp/tests/test_new_operation_block.cpp is missing",
        "CUDA operation new_operation: its header does not declare it in namespace cuda",
        "CUDA operation new_operation: cuda/CMakeLists.txt does not compile bind_new_operation.cpp again",
        "CUDA operation new_operation: python/bindings/cuda_module.cpp does not call bind_new_operation",
        "CUDA operation new_operation: tests/ops/test_new_operation.py does not use the backend fixture",
        "cuda/src/new_operation.cu: cuda/CMakeLists.txt does not list it",
    ]


def test_types_of_one_name_are_found(copy):
    header = copy / "cpp" / "include" / "fastsoft" / "detail" / "zebra.hpp"
    header.write_text(
        "// SPDX-License-Identifier: MIT\nstruct View {\n};\nstruct GradientTaps : Nothing {\n};\nstruct Own;\n"
    )
    assert sorted(check_layout.check_type_names()) == [
        "cpp/include/fastsoft/detail/zebra.hpp: type GradientTaps has the name of one in "
        "cpp/include/fastsoft/detail/matting_errors_pixel.hpp",
        "cpp/include/fastsoft/detail/zebra.hpp: type View has the name of one in cpp/include/fastsoft/core/view.hpp",
    ]


def test_forbidden_import_is_found(copy):
    module = copy / "python" / "fastsoft" / "threads.py"
    module.write_text(module.read_text() + "\n\ndef late() -> None:\n    import torch.nn\n    from numba import njit\n")
    assert check_layout.check_imports() == [
        "python/fastsoft/threads.py: must not import numba",
        "python/fastsoft/threads.py: must not import torch",
    ]


def test_torch_is_allowed_in_network_modules(copy):
    (copy / "python" / "fastsoft" / "network_test.py").write_text("import torch\n")
    assert check_layout.check_imports() == []


def test_names_that_disagree_are_found(copy):
    init = copy / "python" / "fastsoft" / "__init__.py"
    init.write_text(init.read_text().replace('"num_threads": "threads"', '"num_thread": "threads"'))
    problems = check_layout.check_public_names()
    assert "python/fastsoft/__init__.py: num_threads is None in _LAZY, threads for typing" in problems
    assert any("fastsoft.num_thread is not documented" in problem for problem in problems)


def test_second_version_number_and_missing_spdx_line_are_found(copy):
    path = copy / "cmake" / "warnings.cmake"
    version = (ROOT / "pyproject.toml").read_text().partition('\nversion = "')[2].partition('"')[0]
    path.write_text(f"set(version {version})\n")
    header = copy / "cpp" / "include" / "fastsoft" / "core" / "csr.hpp"
    header.write_text("#pragma once\n")
    assert check_layout.check_files([path, header]) == [
        "cmake/warnings.cmake: holds the version number, which belongs in pyproject.toml alone",
        "cpp/include/fastsoft/core/csr.hpp: must begin with an SPDX line",
    ]


def test_readme_holds_its_two_commands():
    for name in check_documents.COMMANDS:
        command = check_documents.command(name)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt ")
    assert " segment " in check_documents.command("segment")
    assert command.endswith(" -m pytest")


def test_links_of_the_documents_lead_somewhere(tmp_path, monkeypatch):
    for path in check_documents.documents():
        assert check_documents.check_links(path) == []
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](#a-heading) [b](page.md) [c](#other) [d](gone.md) ![e](https://example.org)\n")
    monkeypatch.setattr(check_documents, "ROOT", tmp_path)
    assert check_documents.check_links(page) == [
        "page.md: link to #other, which has no such heading",
        "page.md: link to gone.md, which does not exist",
    ]


def test_what_a_merge_left_is_found(tmp_path, monkeypatch):
    for path in check_documents.documents():
        assert check_documents.check_conflicts(path) == []
    page = tmp_path / "page.md"
    page.write_text("Title\n=======\n" + "<" * 7 + " HEAD\none\n=======\nother\n" + ">" * 7 + " branch\n> quoted\n")
    monkeypatch.setattr(check_documents, "ROOT", tmp_path)
    assert check_documents.check_conflicts(page) == [
        "page.md: line 3 is left of a merge",
        "page.md: line 7 is left of a merge",
    ]
