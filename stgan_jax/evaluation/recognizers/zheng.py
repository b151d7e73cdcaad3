"""Zheng et al. 2011: energy images, partial least squares and a robust view transformation model.

"Robust view transformation model for gait recognition", ICIP 2011. The recogniser of the 2017
baseline (WIFS), and one of the two in ST-GAN 4.2.
"""

import dataclasses
import warnings
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True)
class ZhengSettings:
    """How it is trained; the paper states none of these numbers.

    Attributes:
      components: number of components of partial least squares, in each view.
      rank: rank of the view transformation model.
      robust: whether gross sparse errors are split off before the model is computed.
    """

    components: int = 40
    rank: int = 120
    robust: bool = True


def robust_split(
    matrix: Float[np.ndarray, "M N"],
) -> tuple[Float[np.ndarray, "M N"], Float[np.ndarray, "M N"]]:
    """Low-rank and sparse part of a matrix: min |L|_* + |S|_1 / sqrt(max(M, N)), L + S = matrix.

    Robust principal component analysis (Candes et al. 2011) by the inexact augmented
    Lagrangian method (Lin et al. 2010), until |matrix - L - S| is below a millionth of
    |matrix| (Frobenius) or 200 steps are done.
    """
    size = float(np.linalg.norm(matrix))
    sparse = np.zeros_like(matrix)
    if size == 0.0:
        return matrix.copy(), sparse
    weight = 1.0 / np.sqrt(max(matrix.shape))
    spectral = float(np.linalg.norm(matrix, 2))
    dual = matrix / max(spectral, float(np.abs(matrix).max()) / weight)
    penalty, highest = 1.25 / spectral, 1.25e7 / spectral
    low = matrix
    for _ in range(200):
        u, s, v = np.linalg.svd(matrix - sparse + dual / penalty, full_matrices=False)
        low = (u * np.maximum(s - 1.0 / penalty, 0.0)) @ v
        rest = matrix - low + dual / penalty
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - weight / penalty, 0.0)
        missing = matrix - low - sparse
        dual = dual + penalty * missing
        penalty = min(1.5 * penalty, highest)
        if np.linalg.norm(missing) < 1e-6 * size:
            break
    return low, sparse


def view_bases(features: Float[np.ndarray, "K D N"], rank: int) -> Float[np.ndarray, "K D R"]:
    """P_1 ... P_K of the view transformation model: features = [P_1; ...; P_K] V.

    By a truncated singular value decomposition of the (K D) x N matrix, P = U S.

    Args:
      features: D numbers of each of the same N walks, in each of K views.
      rank: R; less if the matrix has fewer rows or columns.
    """
    views, size, count = features.shape
    u, s, _ = np.linalg.svd(features.reshape(views * size, count), full_matrices=False)
    return (u[:, :rank] * s[:rank]).reshape(views, size, -1)


def view_transform(
    bases: Float[np.ndarray, "K D R"], source: int, target: int
) -> Float[np.ndarray, "D D"]:
    """P_j pinv(P_i): takes features from view `source` (i) to view `target` (j), 0 to K - 1.

    Note: the identity, instead of the projection on P_i, if both are the same view.
    """
    if source == target:
        return np.eye(bases.shape[1], dtype=bases.dtype)
    return bases[target] @ np.linalg.pinv(bases[source])


def reduction(
    images: Float[np.ndarray, "N E"], subjects: Int[np.ndarray, " N"], components: int
) -> Float[np.ndarray, "E D"]:
    """The projection of partial least squares from centred images to their subjects.

    Subjects are coded by a column each: 1 for the subject's images, 0 for others.

    Raises:
      InputError: scikit-learn is not installed.
    """
    try:
        from sklearn.cross_decomposition import PLSRegression
        from sklearn.exceptions import ConvergenceWarning
    except ImportError:
        raise InputError(
            "Zheng's recogniser needs scikit-learn: pip install 'stgan-jax[evaluate]'"
        ) from None
    labels = (subjects[:, None] == np.unique(subjects)).astype(np.float64)
    # In the space that the images span: the same result in a fraction of the time.
    axes, coordinates = np.linalg.qr(images.T.astype(np.float64))
    # Centred images span one dimension less than there are.
    count = min(components, len(images) - 1, images.shape[1])
    out = np.zeros((images.shape[1], count))
    # Images that are alike span fewer dimensions; the rest of the features is 0.
    count = min(count, int(np.linalg.matrix_rank(coordinates)))
    if not count:
        return out
    with warnings.catch_warnings():
        # Directions that explain equally much never separate: any of them will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = PLSRegression(count, scale=False).fit(coordinates.T, labels)
    out[:, :count] = axes @ model.x_rotations_
    return out


@dataclasses.dataclass(frozen=True)
class Zheng:
    """The trained recogniser: L1 distances after the probe is taken to the gallery walk's view.

    The attacker knows both views.

    Attributes:
      views: the K views, degrees.
      means: mean energy image of each view, 64x44 pixels in [0, 1].
      projections: from centred energy images to features, for each view.
      bases: see `view_bases`.
    """

    views: Int[np.ndarray, " K"]
    means: Float[np.ndarray, "K E"]
    projections: Float[np.ndarray, "K E D"]
    bases: Float[np.ndarray, "K D R"]
    name: ClassVar[str] = "zheng"

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """L1 distances of features in the gallery walk's view.

        Raises:
          InputError: a walk is in a view that was not among the training walks.
        """
        g, p = self._features(gallery), self._features(probes)
        out = np.zeros((len(probes), len(gallery)), np.float32)
        for i, source in enumerate(self.views):
            rows = np.flatnonzero(probes.view == source)
            for j, target in enumerate(self.views):
                columns = np.flatnonzero(gallery.view == target)
                if len(rows) and len(columns):
                    moved = p[rows] @ view_transform(self.bases, i, j).T
                    out[np.ix_(rows, columns)] = _l1(moved, g[columns])
        return out

    def _features(self, gaits: AlignedGaits) -> Float[np.ndarray, "N D"]:
        unknown = sorted(set(gaits.view.tolist()) - set(self.views.tolist()))
        if unknown:
            raise InputError(
                f"Zheng's recogniser was trained without view {unknown[0]}, "
                f"on {', '.join(map(str, self.views))}: leave the view out or train with it"
            )
        images = _flat(gaits)
        out = np.zeros((len(gaits), self.projections.shape[-1]), np.float32)
        for k, view in enumerate(self.views):
            chosen = gaits.view == view
            out[chosen] = (images[chosen] - self.means[k]) @ self.projections[k]
        return out

    def arrays(self) -> dict[str, Any]:
        """Arrays for `restore`."""
        return {
            field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)
        }


def restore(settings: ZhengSettings, arrays: dict[str, Any]) -> Zheng:
    """Rebuilds a recogniser from its `arrays`."""
    del settings
    return Zheng(**arrays)


def train(gaits: AlignedGaits, seed: int, settings: ZhengSettings) -> Zheng:
    """Trains on all of the walks; nothing is drawn at random.

    Note: the (views x subjects) matrix has a column for each walk of each subject here, instead
    of one for each subject; if a walk misses a view, the mean of the subject's other walks in that
    view stands in. Note: the split into a low-rank and a sparse part is of features instead of
    images, as the papers at hand put the reduction first.

    Raises:
      InputError: fewer than two subjects are there in all views, or scikit-learn is missing.
    """
    del seed
    views = np.unique(gaits.view)
    images = _flat(gaits)
    means, projections = [], []
    for view in tqdm(views, desc="training zheng", unit="view"):
        chosen = gaits.view == view
        if len(np.unique(gaits.subject[chosen])) < 2:
            raise InputError(f"recogniser zheng: fewer than two subjects in view {view}")
        means.append(images[chosen].mean(0))
        projections.append(
            reduction(images[chosen] - means[-1], gaits.subject[chosen], settings.components)
        )
    size = min(p.shape[1] for p in projections)
    projected = np.stack([p[:, :size] for p in projections]).astype(np.float32)
    no_bases = np.zeros((len(views), size, 1), np.float32)
    model = Zheng(views, np.stack(means), projected, no_bases)
    matrix = _columns(gaits, views, model._features(gaits).astype(np.float64))
    if settings.robust:
        low, _ = robust_split(matrix.reshape(len(views) * size, -1))
        matrix = low.reshape(matrix.shape)
    bases = view_bases(matrix, settings.rank).astype(np.float32)
    return dataclasses.replace(model, bases=bases)


def _columns(
    gaits: AlignedGaits, views: Int[np.ndarray, " K"], features: Float[np.ndarray, "M D"]
) -> Float[np.ndarray, "K D N"]:
    """Features of the same walks in all views, of the subjects who are there in all of them."""
    walks = sorted(set(zip(gaits.subject, gaits.condition, gaits.repetition, strict=True)))
    out = []
    for subject, condition, repetition in walks:
        column = []
        for view in views:
            of_subject = (gaits.subject == subject) & (gaits.view == view)
            same = of_subject & (gaits.condition == condition) & (gaits.repetition == repetition)
            chosen = same if same.any() else of_subject
            if chosen.any():
                column.append(features[chosen].mean(0))
        if len(column) == len(views):
            out.append(np.stack(column))
    if len(out) < 2:
        raise InputError("recogniser zheng: fewer than two walks of subjects who are in all views")
    return np.stack(out, -1)


def _flat(gaits: AlignedGaits) -> Float[np.ndarray, "N E"]:
    return gaits.energy().reshape(len(gaits), -1).astype(np.float32) / np.float32(255)


def _l1(a: Float[np.ndarray, "P D"], b: Float[np.ndarray, "G D"]) -> Float[np.ndarray, "P G"]:
    return np.stack([np.abs(b - row).sum(1) for row in a])
