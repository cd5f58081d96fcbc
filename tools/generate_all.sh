#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Writes every generated file of the repository, or with --check compares them with what is committed.
# Usage: [PYTHON=python3] tools/generate_all.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
for generator in tools/generate_*.py; do
    "${PYTHON:-python3}" "$generator" "$@" || status=1
done
exit $status
