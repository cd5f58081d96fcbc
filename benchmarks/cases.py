# SPDX-License-Identifier: MIT
"""What is measured: for each operation fastsoft's call, and other libraries' calls for the same job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import soft_alpha

Run = Callable[[], Any]

N_EIGENVECTORS = 100
N_SUPERPIXELS = 2500
GUIDED_CHANNELS = 128
GUIDED_RADIUS = 5
GUIDED_EPSILON = 1e-2
PCA_CHANNELS = 128


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


def features_of(image: Any, channels: int) -> Any:
    """Make features as a network's are: a few hidden channels of the picture mixed into many, with noise, float32."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((3, channels)).astype(np.float32)
    noise = rng.standard_normal((*image.shape[:2], channels), dtype=np.float32)
    return image.astype(np.float32) @ mixing + np.float32(0.05) * noise


def numpy_pca_double(values: Any, n: int) -> Any:
    """Principal components by BLAS, summed in float64 in blocks that bound its memory."""
    rows = values.reshape(-1, values.shape[-1])
    mean = rows.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(rows), 1 << 15):
        centred = rows[start : start + (1 << 15)] - mean
        covariance += centred.T @ centred
    basis = np.linalg.eigh(covariance)[1][:, : -n - 1 : -1]
    scores = np.empty((len(rows), n))
    for start in range(0, len(rows), 1 << 15):
        scores[start : start + (1 << 15)] = (rows[start : start + (1 << 15)] - mean) @ basis
    return scores


def numpy_pca_single(values: Any, n: int) -> Any:
    """Principal components by BLAS, all in float32 with a centred copy of the values."""
    rows = values.reshape(-1, values.shape[-1])
    centred = rows - rows.mean(axis=0)
    return centred @ np.linalg.eigh(centred.T @ centred)[1][:, : -n - 1 : -1]


def torch_pca(values: Any, n: int) -> Any:
    """Approximate principal components by torch's randomised method, float32."""
    import torch

    rows = torch.from_numpy(values.reshape(-1, values.shape[-1]))
    torch.manual_seed(0)
    directions = torch.pca_lowrank(rows, q=n)[2]
    return (rows - rows.mean(dim=0)) @ directions


def principal_components(image: Any) -> Case:
    """Three principal components of 128 channels, float32."""
    values = features_of(image, PCA_CHANNELS)
    peers: dict[str, Run] = {
        "NumPy, sums in float64": lambda: numpy_pca_double(values, 3),
        "NumPy, sums in float32": lambda: numpy_pca_single(values, 3),
        "torch.pca_lowrank": lambda: torch_pca(values, 3),
    }
    return Case(lambda: fastsoft.principal_components(values, 3), peers)


def estimate_foreground(image: Any) -> Case:
    """Foreground colours by the multi-level method, float32."""
    image = image.astype(np.float32)
    alpha = soft_alpha(*image.shape[:2]).astype(np.float32)
    peers: dict[str, Run] = {}
    missing = []
    try:
        from pymatting import estimate_foreground_ml
    except ImportError:
        missing.append("PyMatting is not installed")
    else:
        peers["PyMatting"] = lambda: estimate_foreground_ml(image, alpha)
    return Case(lambda: fastsoft.estimate_foreground(image, alpha), peers, missing)


def blur_fusion(image: Any) -> Case:
    """Foreground colours by blur fusion, float32, against the same two blurs in OpenCV."""
    image = image.astype(np.float32)
    alpha = soft_alpha(*image.shape[:2]).astype(np.float32)
    try:
        import cv2
    except ImportError:
        return Case(lambda: fastsoft.estimate_foreground(image, alpha, method="blur_fusion"), {}, ["no OpenCV"])

    def opencv() -> Any:
        foreground = background = image
        a = alpha[:, :, None]
        for size in ((90, 90), (6, 6)):
            coverage = cv2.blur(alpha, size)[:, :, None]
            mean = cv2.blur(foreground * a, size) / (coverage + 1e-5)
            background = cv2.blur(background * (1 - a), size) / ((1 - coverage) + 1e-5)
            foreground = np.clip(mean + a * (image - a * mean - (1 - a) * background), 0, 1)
        return foreground

    ours = lambda: fastsoft.estimate_foreground(image, alpha, method="blur_fusion")  # noqa: E731
    return Case(ours, {"OpenCV": opencv}, [])


def closed_form_foreground(image: Any) -> Case:
    """Foreground colours as the minimum of an energy, float64; both sides at their default tolerances."""
    alpha = soft_alpha(*image.shape[:2])
    peers: dict[str, Run] = {}
    missing = []
    try:
        from pymatting import estimate_foreground_cf
    except ImportError:
        missing.append("PyMatting is not installed")
    else:
        peers["PyMatting"] = lambda: estimate_foreground_cf(image, alpha)
    ours = lambda: fastsoft.estimate_foreground(image, alpha, method="closed_form")  # noqa: E731
    return Case(ours, peers, missing, slow=True)


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
    "principal_components": principal_components,
    "smallest_eigenvectors": smallest_eigenvectors,
    "estimate_foreground": estimate_foreground,
    "estimate_foreground, blur fusion": blur_fusion,
    "estimate_foreground, closed form": closed_form_foreground,
}
