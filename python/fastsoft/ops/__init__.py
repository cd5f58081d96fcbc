# SPDX-License-Identifier: MIT
"""Native operations, one module each; the package re-exports their functions."""
