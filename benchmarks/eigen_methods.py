# SPDX-License-Identifier: MIT
"""Operator products that eigensolvers without a factorisation need for the matrix of semantic soft segmentation.

python -m benchmarks.eigen_methods parrots_640x480.png --size 320x240

Prototypes in NumPy over the CPU's operator product, counting vectors multiplied. One block Lanczos method with thick
restarts runs on p(A), where p is the Chebyshev polynomial that lies in [-1, 1] between a cut and the largest eigenvalue
and grows below: degree 1 is the plain method. Beside it, subspace iteration with the same polynomial. Both stop when
the residual of p(A), divided by how far p at the last wanted eigenvalue stands above 1, is below the tolerance: this
bounds the residual of A relative to its largest eigenvalue. How good the pairs then are is measured against pairs
computed by shift-invert. At the end fastsoft's own implementation of the filtered method, which estimates the cut
itself: its count of products includes that, and the layers that follow from its eigenvectors are compared with those
from the others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import load_photo

N_PAIRS = 100
BLOCK = 16
BASIS = 176
# Estimates of the largest eigenvalue are from below.
SAFETY = 1.05
TOLERANCES = (1e-3, 1e-5)
# Bytes per second of an H200's memory.
BANDWIDTH = 4.8e12


class Problem:
    """A matrix with its smallest eigenpairs and a count of the products."""

    def __init__(self, path: str, size: tuple[int, int]) -> None:
        from fastsoft.semantic.affinities import compute_affinities
        from fastsoft.semantic.features import compute_features
        from fastsoft.semantic.laplacian import build_laplacian
        from fastsoft.semantic.reduction import resized

        image = load_photo(path)
        height, width = image.shape[:2]
        if (height > width) != (size[1] > size[0]):
            size = size[::-1]
        self.image = resized(image, size[::-1])
        self.features = compute_features(self.image, "embedded", dtype=np.dtype(np.float64)).values
        self.laplacian = build_laplacian(compute_affinities(self.image, self.features, n_superpixels=2500))
        self.operator = self.laplacian.operator
        exact = fastsoft.smallest_eigenvectors(self.operator, N_PAIRS + 30, tolerance=1e-9)
        self.n = self.operator.shape[0]
        self.exact = exact
        self.values = exact.eigenvalues
        self.vectors = exact.eigenvectors[:, :N_PAIRS].T
        self.largest = exact.lambda_max
        self.n_products = 0

    def alphas(self, pairs: Any) -> Any:
        """Return the layers that the pipeline makes of eigenpairs."""
        from fastsoft.semantic.eigenvectors import Eigenvectors
        from fastsoft.semantic.relaxation import relax_layers
        from fastsoft.semantic.soft_segments import compute_soft_segments

        vectors = np.asfortranarray(pairs.eigenvectors[:, :N_PAIRS], dtype=np.float64)
        found = Eigenvectors(pairs.eigenvalues[:N_PAIRS], vectors, pairs.residuals[:N_PAIRS])
        soft = compute_soft_segments(self.features, found, n_segments=20, n_layers=5)
        return relax_layers(self.image, soft.grouping.layers, self.laplacian).alphas

    def multiply(self, rows: Any) -> Any:
        """Return A times each row."""
        self.n_products += rows.shape[0]
        return np.ascontiguousarray((self.operator @ rows.T).T)

    def filter(self, rows: Any, degree: int, cut: float) -> Any:
        """Return p(A) times each row: Chebyshev's recurrence on the spectrum turned around."""
        high = SAFETY * self.largest
        centre, half = (cut + high) / 2, (high - cut) / 2
        before, here = rows, (centre * rows - self.multiply(rows)) / half
        for _ in range(degree - 1):
            before, here = here, (2 / half) * (centre * here - self.multiply(here)) - before
        return here

    def errors(self, rows: Any) -> str:
        """Return residual, largest angle to the right space and largest error of eigenvalues, as cells of a table."""
        counted = self.n_products
        product = self.multiply(rows)
        self.n_products = counted
        values = np.einsum("ij,ij->i", product, rows)
        residual = np.linalg.norm(product - values[:, None] * rows, axis=1).max() / self.largest
        sine = np.linalg.norm(rows - (rows @ self.vectors.T) @ self.vectors, 2)
        error = np.abs(np.sort(values) - self.values[:N_PAIRS]).max() / self.values[N_PAIRS - 1]
        return f"{residual:.1e} | {sine:.1e} | {error:.1e}"


def orthonormal(rows: Any) -> tuple[Any, Any]:
    """Return orthonormal rows Q and the matrix R with rows = R Q."""
    total = np.eye(rows.shape[0])
    for _ in range(2):
        values, vectors = np.linalg.eigh(rows @ rows.T)
        lengths = np.sqrt(np.maximum(values, 1e-300))
        rows = (vectors / lengths).T @ rows
        total = total @ (vectors * lengths)
    return rows, total


def lanczos(problem: Problem, degree: int, cut: float, limit: int, basis: int = BASIS) -> Iterator[tuple[float, Any]]:
    """Yield the convergence measure and the Ritz vectors (a function that makes them) after every block."""
    rows = orthonormal(np.random.default_rng(0).standard_normal((BLOCK, problem.n)))[0]
    space = np.empty((basis + BLOCK, problem.n))
    space[:BLOCK] = rows
    projected = np.zeros((basis + BLOCK, basis + BLOCK))
    size = 0
    while problem.n_products < limit:
        new = problem.filter(space[size : size + BLOCK], degree, cut)
        filled = size + BLOCK
        coupling = np.zeros((filled, BLOCK))
        for _ in range(2):
            part = space[:filled] @ new.T
            new -= part.T @ space[:filled]
            coupling += part
        projected[:filled, size:filled] = coupling
        projected[size:filled, :filled] = coupling.T
        space[filled : filled + BLOCK], last = orthonormal(new)
        size = filled
        if size < N_PAIRS:
            continue
        values, vectors = np.linalg.eigh(projected[:size, :size])
        values, vectors = values[::-1], vectors[:, ::-1]
        residuals = np.linalg.norm(last.T @ vectors[size - BLOCK :, :N_PAIRS], axis=0)
        above = values[:N_PAIRS] - 1.0
        worst = float((residuals / above).max()) if above.min() > 0 else np.inf
        wanted = vectors[:, :N_PAIRS]
        yield worst, lambda wanted=wanted, size=size: wanted.T @ space[:size]
        if size + BLOCK > basis:
            keep = min(N_PAIRS + max((size - N_PAIRS) // 3, 1), size - BLOCK)
            space[:keep] = vectors[:, :keep].T @ space[:size]
            space[keep : keep + BLOCK] = space[size : size + BLOCK].copy()
            projected[:] = 0.0
            projected[np.arange(keep), np.arange(keep)] = values[:keep]
            size = keep


def subspace(problem: Problem, degree: int, cut: float, limit: int, width: int = 128) -> Iterator[tuple[float, Any]]:
    """Yield the same after every filtered sweep over `width` vectors."""
    space = orthonormal(np.random.default_rng(0).standard_normal((width, problem.n)))[0]
    while problem.n_products < limit:
        new = problem.filter(space, degree, cut)
        values, vectors = np.linalg.eigh(space @ new.T)
        values, vectors = values[::-1], vectors[:, ::-1]
        ritz = vectors[:, :N_PAIRS].T @ space
        residuals = np.linalg.norm(vectors[:, :N_PAIRS].T @ new - values[:N_PAIRS, None] * ritz, axis=1)
        above = values[:N_PAIRS] - 1.0
        worst = float((residuals / above).max()) if above.min() > 0 else np.inf
        yield worst, lambda ritz=ritz: ritz
        space = orthonormal(new)[0]


def product_bytes(block: int) -> float:
    """Bytes of float32 per unknown and product: half a stencil once per block; two vectors in, one of them back out."""
    return 4.0 * (13 / block + 3)


def run(name: str, problem: Problem, method: Any, degree: int, cut: float, limit: int, out: Any) -> None:
    problem.n_products = 0
    wanted = list(TOLERANCES)
    start = time.perf_counter()
    worst = np.inf
    label = f"{name} | {degree} | {cut:g}"
    for worst, vectors in method(problem, degree, cut * problem.values[N_PAIRS - 1], limit):
        if worst <= wanted[0]:
            tolerance = wanted.pop(0)
            while wanted and worst <= wanted[0]:
                wanted.pop(0)
            least = problem.n_products * product_bytes(BLOCK) * problem.n / BANDWIDTH
            print(
                f"| {label} | {tolerance:g} | {problem.n_products} | {1e3 * least:.1f} | {problem.errors(vectors())} |",
                file=out, flush=True,
            )  # fmt: skip
            if not wanted:
                break
    else:
        print(
            f"| {label} | {wanted[0]:g} | not after {problem.n_products}, at {worst:.1e} | | | | |",
            file=out,
            flush=True,
        )
    print(f"{label}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def run_own(problem: Problem, out: Any) -> None:
    """fastsoft's filtered method in float32, as it is used on devices."""
    expected = problem.alphas(problem.exact)
    lines = []
    for tolerance in TOLERANCES:
        pairs = fastsoft.smallest_eigenvectors(
            problem.operator.astype(np.float32), N_PAIRS, method="filtered", tolerance=tolerance, allow_unconverged=True
        )
        least = pairs.n_products * product_bytes(BLOCK) * problem.n / BANDWIDTH
        errors = problem.errors(np.ascontiguousarray(pairs.eigenvectors.T, dtype=np.float64))
        print(
            f"| fastsoft, float32 | {pairs.degree} | own | {tolerance:g} | {pairs.n_products} | {1e3 * least:.1f} | "
            f"{errors} |",
            file=out, flush=True,
        )  # fmt: skip
        difference = np.abs(problem.alphas(pairs) - expected)
        lines.append(f"tolerance {tolerance:g}: mean {difference.mean():.1e}, largest {difference.max():.1e}")
    print(f"\nDifference of alphas of fastsoft's filtered method: {'; '.join(lines)}.", file=out, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--size", default="320x240", help="to which photographs are reduced")
    parser.add_argument("--limit", type=int, default=60000, help="of products per method")
    parser.add_argument("--degrees", type=int, nargs="*", default=[20, 30, 45])
    parser.add_argument("--cuts", type=float, nargs="*", default=[1.3], help="relative to the last wanted eigenvalue")
    parser.add_argument("--methods", nargs="*", default=["plain", "subspace", "filtered", "own"])
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    fastsoft.set_num_threads(1)
    out = sys.stdout
    for path in arguments.photos:
        problem = Problem(path, (width, height))
        last = problem.values[N_PAIRS - 1] / problem.largest
        print(
            f"\n{path.split('/')[-1]}, {problem.n} pixels, eigenvalue {N_PAIRS} is {last:.2e} of the largest\n",
            file=out,
        )
        print(
            "| method | degree | cut | tolerance | products | ms at 4.8 TB/s | residual | angle | eigenvalues |",
            file=out,
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", file=out, flush=True)
        if "plain" in arguments.methods:
            run("Lanczos", problem, lanczos, 1, 1.3, arguments.limit, out)
        for degree in arguments.degrees:
            for cut in arguments.cuts:
                if "filtered" in arguments.methods:
                    run("filtered Lanczos", problem, lanczos, degree, cut, arguments.limit, out)
                if "subspace" in arguments.methods:
                    run("filtered subspace", problem, subspace, degree, cut, arguments.limit, out)
        if "own" in arguments.methods:
            run_own(problem, out)


if __name__ == "__main__":
    main()
