# SPDX-License-Identifier: MIT
"""What is measured: for each operation fastsoft's call, and other libraries' calls for the same job.

Functions of other libraries that take more than a line stand in the operation's bench_*.py, where their results are
compared with fastsoft's.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import fastsoft
from benchmarks.images import soft_alpha

Run = Callable[[], Any]

N_EIGENVECTORS = 100
N_SUPERPIXELS = 2500
GUIDED_RADIUS = 5
GUIDED_EPSILON = 1e-2
PCA_CHANNELS = 128
KMEANS_CLUSTERS = 40
KMEANS_ITERATIONS = 10
PCG_TOLERANCE = 1e-5
N_LAYERS = 7


class Case:
    """One operation on one picture.

    Parameters
    ----------
    ours : callable
        fastsoft's call.
    n_bytes : float
        The least that must be moved: what goes in read once, what comes out written once.
    """

    def __init__(self, ours: Run, n_bytes: float) -> None:
        self.ours = ours
        self.n_bytes = float(n_bytes)
        self.peers: dict[str, Run] = {}
        # Lines that say why a peer is not there.
        self.missing: list[str] = []

    def add(self, name: str, make: Callable[[], Run]) -> None:
        """Add a peer; `make` imports its library and returns the call."""
        try:
            self.peers[name] = make()
        except ImportError as error:
            self.missing.append(f"{name}: {error.name or error} is not installed")

    def lacks(self, reason: str) -> None:
        """Say why a peer is not measured."""
        self.missing.append(reason)


def use_threads(count: int) -> None:
    """Let fastsoft and its peers use so many threads, no more than they were started with."""
    fastsoft.set_num_threads(count)
    for module, function in (("cv2", "setNumThreads"), ("torch", "set_num_threads"), ("numba", "set_num_threads")):
        with contextlib.suppress(ImportError):
            getattr(importlib.import_module(module), function)(count)
    with contextlib.suppress(ImportError):
        importlib.import_module("threadpoolctl").threadpool_limits(count)  # BLAS


def n_pixels(image: Any) -> int:
    """Return the number of pixels."""
    return int(image.shape[0] * image.shape[1])


def matting_laplacian(image: Any) -> Case:
    """Closed-form matting Laplacian as a SciPy matrix: 25 entries per pixel of index and value."""
    case = Case(
        lambda: fastsoft.matting_laplacian(image, epsilon=1e-7, radius=1),
        n_pixels(image) * (3 * image.itemsize + 25 * (4 + image.itemsize)),
    )
    case.add("PyMatting", lambda: pymatting_laplacian(image))
    return case


def matting_laplacian_stencil(image: Any) -> Case:
    """The same matrix as 13 numbers per pixel, against the same peer's only storage."""
    case = Case(
        lambda: fastsoft.matting_laplacian(image, epsilon=1e-7, radius=1, storage="stencil"),
        n_pixels(image) * (3 + 13) * image.itemsize,
    )
    case.add("PyMatting", lambda: pymatting_laplacian(image))
    return case


def pymatting_laplacian(image: Any) -> Run:
    """PyMatting's matrix; it takes and gives float64 only."""
    from pymatting import cf_laplacian

    image = image.astype(np.float64)
    return lambda: cf_laplacian(image, epsilon=1e-7, radius=1)


def slic(image: Any) -> Case:
    """SLIC0 superpixels, connectivity enforced; every side converts the colours itself."""
    case = Case(
        lambda: fastsoft.slic(image, N_SUPERPIXELS, max_iterations=10), n_pixels(image) * (3 * image.itemsize + 4)
    )

    def skimage() -> Run:
        from skimage import segmentation

        return lambda: segmentation.slic(
            image, N_SUPERPIXELS, max_num_iter=10, slic_zero=True, enforce_connectivity=True, start_label=0
        )

    def opencv() -> Run:
        import cv2
        from cv2 import ximgproc

        region = max(2, round((n_pixels(image) / N_SUPERPIXELS) ** 0.5))

        def slico() -> Any:
            lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
            superpixels = ximgproc.createSuperpixelSLIC(lab, ximgproc.SLICO, region)
            superpixels.iterate(10)
            superpixels.enforceLabelConnectivity()
            return superpixels.getLabels()

        return slico

    case.add("scikit-image", skimage)
    if image.dtype == np.float32:
        case.add("OpenCV SLICO", opencv)
    else:
        case.lacks("OpenCV converts to CIELAB in float32 only")
    return case


def guided_filter(image: Any, channels: int = 3) -> Case:
    """Colour guide, radius 5."""
    source = np.random.default_rng(0).random((*image.shape[:2], channels), dtype=image.dtype)
    case = Case(
        lambda: fastsoft.guided_filter(image, source, radius=GUIDED_RADIUS, epsilon=GUIDED_EPSILON),
        n_pixels(image) * (3 + 2 * channels) * image.itemsize,
    )

    def opencv() -> Run:
        from cv2 import ximgproc

        return lambda: ximgproc.guidedFilter(image, source, GUIDED_RADIUS, GUIDED_EPSILON)

    def torch_boxes() -> Run:
        import torch

        return lambda: torch_guided_filter(torch.from_numpy(image), torch.from_numpy(source)).numpy()

    if image.dtype == np.float32:
        case.add("OpenCV", opencv)
    else:
        case.lacks("OpenCV's guided filter works in float32 only")
    case.add("PyTorch", torch_boxes)
    return case


def torch_guided_filter(guide: Any, source: Any) -> Any:
    """Guided filter by torch's pooling, with its windows cut at the border as fastsoft's are."""
    import torch

    def mean(values: Any) -> Any:
        side = 2 * GUIDED_RADIUS + 1
        planes = values.permute(2, 0, 1)[None]
        pooled = torch.nn.functional.avg_pool2d(planes, side, 1, GUIDED_RADIUS, count_include_pad=False)
        return pooled[0].permute(1, 2, 0)

    with torch.inference_mode():
        mean_guide, mean_source = mean(guide), mean(source)
        products = (guide[..., :, None] * guide[..., None, :]).flatten(2)
        covariance = mean(products).unflatten(2, (3, 3)) - mean_guide[..., :, None] * mean_guide[..., None, :]
        covariance += GUIDED_EPSILON * torch.eye(3, dtype=guide.dtype)
        out = torch.empty_like(source)
        inverse = torch.linalg.inv(covariance)
        for channel in range(source.shape[2]):
            plane = source[..., channel, None]
            cross = mean(guide * plane) - mean_guide * mean_source[..., channel, None]
            slope = (inverse @ cross[..., None])[..., 0]
            offset = mean_source[..., channel] - (slope * mean_guide).sum(dim=2)
            out[..., channel] = (mean(slope) * guide).sum(dim=2) + mean(offset[..., None])[..., 0]
        return out


def guided_filter_many(image: Any) -> Case:
    """128 channels, as a feature network has."""
    case = guided_filter(image, PCA_CHANNELS)
    del case.peers["PyTorch"]
    return case


def features_of(image: Any, channels: int) -> Any:
    """Make features as a network's are: a few hidden channels of the picture mixed into many, with noise."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((3, channels)).astype(image.dtype)
    noise = rng.standard_normal((*image.shape[:2], channels), dtype=image.dtype)
    return image @ mixing + image.dtype.type(0.05) * noise


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
    """Approximate principal components by torch's randomised method."""
    import torch

    rows = torch.from_numpy(values.reshape(-1, values.shape[-1]))
    torch.manual_seed(0)
    directions = torch.pca_lowrank(rows, q=n)[2]
    return (rows - rows.mean(dim=0)) @ directions


def principal_components(image: Any) -> Case:
    """Three principal components of 128 channels."""
    values = features_of(image, PCA_CHANNELS)
    case = Case(lambda: fastsoft.principal_components(values, 3), n_pixels(image) * (PCA_CHANNELS + 3) * image.itemsize)
    case.add("NumPy, sums in float64", lambda: lambda: numpy_pca_double(values, 3))
    if image.dtype == np.float32:
        case.add("NumPy, sums in float32", lambda: lambda: numpy_pca_single(values, 3))
    case.add("torch.pca_lowrank", lambda: lambda: torch_pca(values, 3))
    return case


def kmeans(image: Any) -> Case:
    """40 clusters of colours from given centres, ten iterations."""
    points = image.reshape(-1, 3).copy()
    init = points[np.random.default_rng(0).choice(len(points), KMEANS_CLUSTERS, replace=False)]
    case = Case(
        lambda: fastsoft.kmeans(points, KMEANS_CLUSTERS, init=init, max_iterations=KMEANS_ITERATIONS),
        KMEANS_ITERATIONS * n_pixels(image) * (3 * image.itemsize + 4),
    )

    def scipy() -> Run:
        from benchmarks.bench_kmeans import scipy_kmeans

        return lambda: scipy_kmeans(points, KMEANS_CLUSTERS, init)

    def opencv() -> Run:
        import cv2

        distance = ((init**2).sum(axis=1) - 2 * points @ init.T).argmin(axis=1).astype(np.int32)
        criteria = (cv2.TERM_CRITERIA_MAX_ITER, KMEANS_ITERATIONS, 0.0)
        return lambda: cv2.kmeans(points, KMEANS_CLUSTERS, distance.copy(), criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)

    case.add("SciPy kmeans2", scipy)
    if image.dtype == np.float32:
        case.add("OpenCV", opencv)
    else:
        case.lacks("OpenCV's kmeans works in float32 only")
    return case


def image_gradient(image: Any) -> Case:
    """Gradient magnitude by filters of 13 taps."""
    from benchmarks import bench_image_gradient as peers

    case = Case(lambda: fastsoft.image_gradient(image), n_pixels(image) * 4 * image.itemsize)
    case.add("OpenCV sepFilter2D", lambda: _needs("cv2", lambda: peers.opencv(image)))
    case.add("SciPy correlate1d", lambda: _needs("scipy", lambda: peers.scipy(image)))
    return case


def _needs(module: str, run: Run) -> Run:
    __import__(module)
    return run


def distance_transform(image: Any) -> Case:
    """Exact Euclidean distances to a mask."""
    mask = image[..., 0] < 0.25
    mask[0, 0] = True
    case = Case(lambda: fastsoft.distance_transform(mask), n_pixels(image) * 9)

    def scipy() -> Run:
        from scipy import ndimage

        return lambda: ndimage.distance_transform_edt(~mask)

    def opencv() -> Run:
        import cv2

        zeros = np.where(mask, 0, 255).astype(np.uint8)
        return lambda: cv2.distanceTransform(zeros, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)

    case.add("SciPy", scipy)
    case.add("OpenCV, float32 out", opencv)
    return case


def superpixel_graph(image: Any) -> Case:
    """Centroids and adjacent pairs of 2500 superpixels."""
    from benchmarks.bench_superpixel_graph import numpy_graph

    labels = fastsoft.slic(image, N_SUPERPIXELS)
    case = Case(lambda: fastsoft.superpixel_graph(labels), n_pixels(image) * 4)
    case.add("NumPy and SciPy", lambda: lambda: numpy_graph(labels))

    def skimage() -> Run:
        from skimage import graph, measure

        def build() -> Any:
            return graph.RAG(labels, connectivity=2), measure.regionprops_table(labels + 1, properties=("centroid",))

        return build

    case.add("scikit-image", skimage)
    return case


def region_means(image: Any) -> Case:
    """Mean colours of 2500 superpixels."""
    from benchmarks.bench_superpixel_graph import numpy_means

    labels = fastsoft.slic(image, N_SUPERPIXELS)
    case = Case(lambda: fastsoft.region_means(image, labels), n_pixels(image) * (3 * image.itemsize + 4))
    case.add("NumPy bincount", lambda: lambda: numpy_means(image, labels))
    return case


def graph_laplacian(image: Any) -> Case:
    """Laplacian of the matting affinity, as a SciPy matrix."""
    affinity = fastsoft.matting_affinity(image, storage="csr")
    entry = 4 + affinity.dtype.itemsize
    case = Case(lambda: fastsoft.graph_laplacian(affinity), 2 * affinity.nnz * entry)

    def scipy() -> Run:
        from scipy.sparse import csgraph

        return lambda: csgraph.laplacian(affinity)

    case.add("SciPy csgraph", scipy)
    return case


def pcg(image: Any) -> Case:
    """Jacobi-preconditioned conjugate gradients for five right-hand sides, matting Laplacian plus 0.01."""
    from benchmarks.bench_pcg import problem, scipy_cg

    operator, b = problem(image, image.dtype)
    matrix = operator.tocsr()
    case = Case(lambda: fastsoft.pcg(operator, b, tolerance=PCG_TOLERANCE), operator.weights.nbytes + 2 * b.nbytes)
    case.add("SciPy cg", lambda: lambda: scipy_cg(matrix, b))

    def pymatting() -> Run:
        from pymatting import cg, jacobi

        return lambda: [
            cg(matrix, np.ascontiguousarray(b[:, c]), M=jacobi(matrix), rtol=PCG_TOLERANCE) for c in range(b.shape[1])
        ]

    case.add("PyMatting cg", pymatting)
    return case


def trimap_of(image: Any) -> Any:
    """A band of 20 pixels to either side of where the red channel crosses its mean."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(image[..., 0].astype(np.float64), 12)
    return fastsoft.trimap_from_mask(smooth > smooth.mean(), outer=20, inner=20)


def closed_form_matting(image: Any) -> Case:
    """Alpha of a picture and a trimap, both sides with their defaults, which ask for the same residual."""
    trimap = trimap_of(image)
    case = Case(lambda: fastsoft.closed_form_matting(image, trimap), n_pixels(image) * (4 * image.itemsize + 1))

    def pymatting() -> Run:
        from pymatting import estimate_alpha_cf

        picture, given = image.astype(np.float64), trimap / 255.0
        return lambda: estimate_alpha_cf(picture, given)

    if n_pixels(image) <= 1920 * 1080:
        case.add("PyMatting", pymatting)
    else:
        case.lacks("PyMatting at 3840x2160: its matrix and incomplete factor do not fit into 24 GB")
    return case


def estimate_foreground(image: Any) -> Case:
    """Foreground colours by the multi-level method; PyMatting computes in float32."""
    alpha = soft_alpha(*image.shape[:2]).astype(image.dtype)
    case = Case(lambda: fastsoft.estimate_foreground(image, alpha), n_pixels(image) * 7 * image.itemsize)

    def pymatting() -> Run:
        from pymatting import estimate_foreground_ml

        return lambda: estimate_foreground_ml(image, alpha)

    case.add("PyMatting", pymatting)
    return case


def blur_fusion(image: Any) -> Case:
    """Foreground colours by blur fusion, against the same two blurs in OpenCV."""
    from benchmarks.bench_estimate_foreground import opencv_blur_fusion

    alpha = soft_alpha(*image.shape[:2]).astype(image.dtype)
    case = Case(
        lambda: fastsoft.estimate_foreground(image, alpha, method="blur_fusion"),
        n_pixels(image) * 7 * image.itemsize,
    )
    case.add("OpenCV", lambda: _needs("cv2", lambda: opencv_blur_fusion(image, alpha)))
    return case


def closed_form_foreground(image: Any) -> Case:
    """Foreground colours as the minimum of an energy; both sides at their default tolerances."""
    alpha = soft_alpha(*image.shape[:2]).astype(image.dtype)
    case = Case(
        lambda: fastsoft.estimate_foreground(image, alpha, method="closed_form"), n_pixels(image) * 7 * image.itemsize
    )

    def pymatting() -> Run:
        from pymatting import estimate_foreground_cf

        picture, given = image.astype(np.float64), alpha.astype(np.float64)
        return lambda: estimate_foreground_cf(picture, given)

    case.add("PyMatting", pymatting)
    return case


def refine_foreground(image: Any) -> Case:
    """Refinement of a foreground's colours, against the updates of the full resolution alone in NumPy."""
    from benchmarks.bench_refine_foreground import numpy_full_resolution

    alpha = soft_alpha(*image.shape[:2]).astype(image.dtype)
    case = Case(lambda: fastsoft.refine_foreground(image, alpha), n_pixels(image) * 7 * image.itemsize)
    case.add("NumPy, finest level only", lambda: lambda: numpy_full_resolution(image, alpha))
    return case


def matting_errors(image: Any) -> Case:
    """Gradient and connectivity error of an alpha."""
    from benchmarks import bench_matting_errors as peers

    alpha, truth = peers.alphas(image)

    def ours() -> Any:
        return fastsoft.gradient_error(alpha, truth), fastsoft.connectivity_error(alpha, truth)

    case = Case(ours, 2 * n_pixels(image) * 2 * image.itemsize)
    case.add(
        "SciPy",
        lambda: lambda: (peers.scipy_gradient_error(alpha, truth), peers.scipy_connectivity_error(alpha, truth)),
    )
    return case


def project_colors(image: Any) -> Case:
    """Exact recomposition of seven layers."""
    from benchmarks.bench_project_colors import in_numpy, problem

    arguments = problem(image)
    case = Case(lambda: fastsoft.project_colors(*arguments), n_pixels(image) * (7 * N_LAYERS + 3) * image.itemsize)
    case.add("NumPy", lambda: lambda: in_numpy(*arguments))
    return case


def unmix_alphas(image: Any) -> Case:
    """Alphas of seven layers from a network's coefficients."""
    from benchmarks.bench_unmixing import in_torch, make, native

    arguments = make(image)
    # The photograph and a quarter as many coefficients, four per layer, in; alphas out.
    case = Case(lambda: native(*arguments), n_pixels(image) * (3 + 2 * N_LAYERS) * 4)
    case.add("PyTorch", lambda: _needs("torch", lambda: in_torch(*arguments)))
    return case


def sparsify_segments(image: Any) -> Case:
    """Two iterations of the authors' sparsification over all pixels, 40 segments of 100 eigenvectors."""
    from benchmarks.bench_sparsify import numpy_iterations, problem

    arguments = problem(image, image.dtype)
    case = Case(
        lambda: fastsoft.sparsify_segments(*arguments, method="compat", n_iterations=2, prune_threshold=0),
        arguments[0].nbytes + n_pixels(image) * 40 * image.itemsize,
    )
    case.add("NumPy", lambda: lambda: numpy_iterations(*arguments, 2))
    return case


def relax_segments(image: Any) -> Case:
    """Relaxed sparsification of five layers, against the authors' iteration on SciPy's conjugate gradients."""
    from benchmarks.bench_relax import authors, problem

    layers, laplacian, gradient = problem(image, image.dtype)
    case = Case(
        lambda: fastsoft.relax_segments(layers, laplacian, gradient),
        laplacian.weights.nbytes + gradient.nbytes + 2 * layers.nbytes,
    )
    if image.dtype == np.float64:
        case.add("SciPy cg", lambda: authors(layers, laplacian, gradient))
    else:
        case.lacks("SciPy: measured in float64")
    return case


def semantic_laplacian(image: Any) -> Any:
    """Return the matrix of semantic soft segmentation, with smoothed colours as features, as an OperatorSum."""
    labels = fastsoft.slic(image, N_SUPERPIXELS)
    graph = fastsoft.superpixel_graph(labels)
    features = fastsoft.guided_filter(image, image, radius=10, epsilon=1e-2)
    colors = fastsoft.region_means(image, labels)
    far = fastsoft.color_affinity(graph, colors)
    near = fastsoft.semantic_affinity(graph, fastsoft.region_means(features, labels))
    extra = fastsoft.graph_laplacian((0.01 * far + 0.01 * near).tocsr().astype(image.dtype))
    return fastsoft.matting_laplacian(image, storage="stencil") + extra


def smallest_eigenvectors(image: Any) -> Case:
    """The 100 eigenpairs of the smallest eigenvalues of the matrix of semantic soft segmentation."""
    operator = semantic_laplacian(image)
    case = Case(
        lambda: fastsoft.smallest_eigenvectors(operator, N_EIGENVECTORS, tolerance=1e-5),
        n_pixels(image) * (13 + N_EIGENVECTORS) * image.itemsize,
    )
    matrix = operator.tocsr().tocsc()
    if image.dtype == np.float64:
        case.add("ARPACK on CHOLMOD", lambda: arpack_on_cholmod(matrix))
        if "ARPACK on CHOLMOD" not in case.peers:
            case.add("ARPACK on SuperLU", lambda: arpack_on_superlu(matrix))
    else:
        case.lacks("CHOLMOD factors in float64 only")
    case.add("LOBPCG, 5 iterations of many", lambda: lobpcg(matrix))
    return case


def shift_below(matrix: Any) -> float:
    """Return the best shift for ARPACK, just below the spectrum, which it is told."""
    from scipy.sparse.linalg import eigsh

    lowest = float(eigsh(matrix, 1, which="SA", return_eigenvectors=False, tol=1e-2)[0])
    return lowest - 0.1 * abs(lowest) - 1e-6


def arpack_on_cholmod(matrix: Any) -> Run:
    """SciPy's ARPACK in shift-invert mode on the factors of SuiteSparse."""
    from scipy.sparse.linalg import LinearOperator, eigsh
    from sksparse.cholmod import cholesky

    shift = shift_below(matrix)

    def run() -> Any:
        factor = cholesky(matrix, beta=-shift, ordering_method="metis")
        inverse = LinearOperator(matrix.shape, matvec=factor, dtype=np.float64)
        return eigsh(matrix, N_EIGENVECTORS, sigma=shift, OPinv=inverse, tol=1e-6)

    return run


def arpack_on_superlu(matrix: Any) -> Run:
    """The same on SciPy's own factors."""
    from scipy.sparse.linalg import eigsh

    shift = shift_below(matrix)
    return lambda: eigsh(matrix, N_EIGENVECTORS, sigma=shift, tol=1e-6)


def lobpcg(matrix: Any) -> Run:
    """SciPy's LOBPCG with a Jacobi preconditioner; after five iterations it is far from the tolerance."""
    import warnings

    from scipy import sparse
    from scipy.sparse.linalg import lobpcg as solve

    start = np.random.default_rng(0).standard_normal((matrix.shape[0], N_EIGENVECTORS)).astype(matrix.dtype)
    jacobi = sparse.diags_array(1 / matrix.diagonal())

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of not having converged
            return solve(matrix, start, M=jacobi, largest=False, maxiter=5, tol=1e-6)

    return run


CASES: dict[str, Callable[[Any], Case]] = {
    "matting_laplacian": matting_laplacian,
    "matting_laplacian, stencil": matting_laplacian_stencil,
    "slic": slic,
    "guided_filter": guided_filter,
    "guided_filter, 128 channels": guided_filter_many,
    "principal_components": principal_components,
    "kmeans": kmeans,
    "image_gradient": image_gradient,
    "distance_transform": distance_transform,
    "superpixel_graph": superpixel_graph,
    "region_means": region_means,
    "graph_laplacian": graph_laplacian,
    "pcg": pcg,
    "sparsify_segments": sparsify_segments,
    "relax_segments": relax_segments,
    "smallest_eigenvectors": smallest_eigenvectors,
    "closed_form_matting": closed_form_matting,
    "estimate_foreground": estimate_foreground,
    "estimate_foreground, blur fusion": blur_fusion,
    "estimate_foreground, closed form": closed_form_foreground,
    "refine_foreground": refine_foreground,
    "matting_errors": matting_errors,
    "project_colors": project_colors,
    "unmix_alphas": unmix_alphas,
}

# Operations whose values do not follow the picture's type.
ONE_DTYPE = {"distance_transform": "float64", "unmix_alphas": "float32"}

# The largest picture of an operation, where it is not 3840x2160, and why.
LARGEST = {
    "guided_filter, 128 channels": ("1920x1080", "features of networks are made on smaller pictures"),
    "principal_components": ("1920x1080", "features of networks are made on smaller pictures"),
    "pcg": ("1920x1080", "minutes per run of the peers"),
    "sparsify_segments": ("640x480", "half a minute per run in NumPy"),
    "relax_segments": ("640x480", "minutes per run of SciPy"),
    "smallest_eigenvectors": ("640x480", "ARPACK takes more than ten minutes; for fastsoft see pipeline.md"),
    "estimate_foreground, closed form": ("640x480", "PyMatting takes minutes per run"),
}
