# SPDX-License-Identifier: MIT
"""What is measured: for each operation fastsoft's call, and other libraries' calls for the same job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastsoft

Run = Callable[[], Any]

N_EIGENVECTORS = 100
N_SUPERPIXELS = 2500
GUIDED_CHANNELS = 128
GUIDED_RADIUS = 5
GUIDED_EPSILON = 1e-2


@dataclass(frozen=True)
class Case:
    """One operation on one picture. Peers that are not installed are left out, with the reason in `missing`."""

    ours: Run
    peers: dict[str, Run] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    # Runs of many seconds are not warmed up.
    slow: bool = False


def use_all_threads() -> None:
    """Let OpenCV and numba use as many threads as fastsoft does."""
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(fastsoft.num_threads())


def matting_laplacian(image: Any) -> Case:
    """Closed-form matting Laplacian as a SciPy matrix, float64."""
    peers: dict[str, Run] = {}
    missing = []
    try:
        from pymatting import cf_laplacian
    except ImportError:
        missing.append("PyMatting is not installed")
    else:
        peers["PyMatting"] = lambda: cf_laplacian(image, epsilon=1e-7, radius=1)
    return Case(lambda: fastsoft.matting_laplacian(image, epsilon=1e-7, radius=1), peers, missing)


def matting_laplacian_stencil(image: Any) -> Case:
    """The same matrix as 13 numbers per pixel, against the same peer's only storage."""
    csr = matting_laplacian(image)
    return Case(
        lambda: fastsoft.matting_laplacian(image, epsilon=1e-7, radius=1, storage="stencil"), csr.peers, csr.missing
    )


def slic(image: Any) -> Case:
    """SLIC0 superpixels, connectivity enforced, float32; every side converts the colours itself."""
    image = image.astype(np.float32)
    peers: dict[str, Run] = {}
    missing = []
    try:
        from skimage import segmentation
    except ImportError:
        missing.append("scikit-image is not installed")
    else:
        peers["scikit-image"] = lambda: segmentation.slic(
            image, N_SUPERPIXELS, max_num_iter=10, slic_zero=True, enforce_connectivity=True, start_label=0
        )
    try:
        import cv2
        from cv2 import ximgproc
    except ImportError:
        missing.append("OpenCV-contrib is not installed")
    else:
        region = max(2, round((image.shape[0] * image.shape[1] / N_SUPERPIXELS) ** 0.5))

        def slico() -> Any:
            lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
            superpixels = ximgproc.createSuperpixelSLIC(lab, ximgproc.SLICO, region)
            superpixels.iterate(10)
            superpixels.enforceLabelConnectivity()
            return superpixels.getLabels()

        peers["OpenCV SLICO"] = slico
    return Case(lambda: fastsoft.slic(image, N_SUPERPIXELS, max_iterations=10), peers, missing)


def guided_filter(image: Any) -> Case:
    """Colour guide, 128 channels, float32."""
    guide = image.astype(np.float32)
    source = np.random.default_rng(0).random((*guide.shape[:2], GUIDED_CHANNELS), dtype=np.float32)
    peers: dict[str, Run] = {}
    missing = []
    try:
        from cv2 import ximgproc
    except ImportError:
        missing.append("OpenCV-contrib is not installed")
    else:
        peers["OpenCV"] = lambda: ximgproc.guidedFilter(guide, source, GUIDED_RADIUS, GUIDED_EPSILON)
    ours = lambda: fastsoft.guided_filter(guide, source, radius=GUIDED_RADIUS, epsilon=GUIDED_EPSILON)  # noqa: E731
    return Case(ours, peers, missing)


def semantic_laplacian(image: Any) -> Any:
    """Return the matrix of semantic soft segmentation, with smoothed colours as features, as an OperatorSum."""
    labels = fastsoft.slic(image, N_SUPERPIXELS)
    graph = fastsoft.superpixel_graph(labels)
    features = fastsoft.guided_filter(image, image, radius=10, epsilon=1e-2)
    colors = fastsoft.region_means(image, labels)
    far = fastsoft.color_affinity(graph, colors)
    near = fastsoft.semantic_affinity(graph, fastsoft.region_means(features, labels))
    extra = fastsoft.graph_laplacian((0.01 * far + 0.01 * near).tocsr())
    return fastsoft.matting_laplacian(image, storage="stencil") + extra


def smallest_eigenvectors(image: Any) -> Case:
    """The 100 eigenpairs of the smallest eigenvalues of the matrix of semantic soft segmentation, float64."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = semantic_laplacian(image)
    ours = lambda: fastsoft.smallest_eigenvectors(operator, N_EIGENVECTORS, tolerance=1e-5)  # noqa: E731
    matrix = operator.tocsr().tocsc()
    # The best shift for the peer lies just below the spectrum, which it is told.
    lowest = float(eigsh(matrix, 1, which="SA", return_eigenvectors=False, tol=1e-2)[0])
    shift = lowest - 0.1 * abs(lowest) - 1e-6
    missing = []
    try:
        from sksparse.cholmod import cholesky
    except ImportError:
        missing.append("scikit-sparse is not installed: ARPACK runs on SciPy's SuperLU factors instead of CHOLMOD's")

        def arpack() -> Any:
            return eigsh(matrix, N_EIGENVECTORS, sigma=shift, tol=1e-6)

        return Case(ours, {"ARPACK on SuperLU": arpack}, missing, slow=True)

    def arpack_cholmod() -> Any:
        factor = cholesky(matrix, beta=-shift, ordering_method="metis")
        inverse = LinearOperator(matrix.shape, matvec=factor, dtype=np.float64)
        return eigsh(matrix, N_EIGENVECTORS, sigma=shift, OPinv=inverse, tol=1e-6)

    return Case(ours, {"ARPACK on CHOLMOD": arpack_cholmod}, missing, slow=True)


CASES: dict[str, Callable[[Any], Case]] = {
    "matting_laplacian": matting_laplacian,
    "matting_laplacian, stencil": matting_laplacian_stencil,
    "slic": slic,
    "guided_filter": guided_filter,
    "smallest_eigenvectors": smallest_eigenvectors,
}
