"""Zheng et al. 2011: energy images, partial least squares and a robust view transformation model.

"Robust view transformation model for gait recognition", ICIP 2011: the recogniser of the 2017
baseline (WIFS) and one of the two of ST-GAN 4.2.
"""

import dataclasses
import warnings
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from stgan_jax.errors import InputError
from stgan_jax.evaluation.gaits import Gaits


@dataclasses.dataclass(frozen=True)
class Settings:
    """How it is trained; the paper states none of these numbers.

    Attributes:
      components: of the partial least squares, one space a view.
      rank: of the view transformation model.
      robust: splits gross sparse errors off before the model is taken.
    """

    components: int = 40
    rank: int = 120
    robust: bool = True


def robust_split(
    matrix: Float[np.ndarray, "M N"], steps: int = 200, tolerance: float = 1e-6
) -> tuple[Float[np.ndarray, "M N"], Float[np.ndarray, "M N"]]:
    """Low-rank and sparse part of a matrix: min |L|_* + |S|_1 / sqrt(max(M, N)), L + S = matrix.

    Robust principal component analysis (Candes et al. 2011) by the inexact augmented
    Lagrangian method (Lin et al. 2010), until |matrix - L - S| is below `tolerance` of
    |matrix| (Frobenius) or `steps` are done.
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
    for _ in range(steps):
        u, s, v = np.linalg.svd(matrix - sparse + dual / penalty, full_matrices=False)
        low = (u * np.maximum(s - 1.0 / penalty, 0.0)) @ v
        rest = matrix - low + dual / penalty
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - weight / penalty, 0.0)
        missing = matrix - low - sparse
        dual = dual + penalty * missing
        penalty = min(1.5 * penalty, highest)
        if np.linalg.norm(missing) < tolerance * size:
            break
    return low, sparse


def view_bases(features: Float[np.ndarray, "K D N"], rank: int) -> Float[np.ndarray, "K D R"]:
    """P_1 ... P_K of the view transformation model: features = [P_1; ...; P_K] V.

    By a truncated singular value decomposition of the (K D) x N matrix, P = U S.

    Args:
      features: in each of K views, features of D numbers of the same N walks.
      rank: R; fewer where the matrix has fewer rows or columns.
    """
    views, size, count = features.shape
    u, s, _ = np.linalg.svd(features.reshape(views * size, count), full_matrices=False)
    return (u[:, :rank] * s[:rank]).reshape(views, size, -1)


def view_transform(
    bases: Float[np.ndarray, "K D R"], source: int, target: int
) -> Float[np.ndarray, "D D"]:
    """P_j pinv(P_i): takes features in view `source` (i) to view `target` (j), both 0 to K - 1.

    Note: a view is left as it is rather than projected on its own P_i: nothing is to be changed.
    """
    if source == target:
        return np.eye(bases.shape[1], dtype=bases.dtype)
    return bases[target] @ np.linalg.pinv(bases[source])


def reduction(
    images: Float[np.ndarray, "N E"], subjects: Int[np.ndarray, " N"], components: int
) -> Float[np.ndarray, "E D"]:
    """The projection of partial least squares from centred images to who is in them.

    Who it is is told by one column a subject, 1 for hers and 0 else.

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
    # In the space that the images span, where the same comes out in a fraction of the time.
    axes, coordinates = np.linalg.qr(images.T.astype(np.float64))
    # Centred images span one dimension less than there are.
    count = min(components, len(images) - 1, images.shape[1])
    with warnings.catch_warnings():
        # Directions that explain equally much take for ever to part: any of them will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = PLSRegression(count, scale=False).fit(coordinates.T, labels)
    return axes @ found.x_rotations_


@dataclasses.dataclass(frozen=True)
class Zheng:
    """The trained recogniser: L1 distances after the probe is taken to the gallery walk's view.

    The attacker knows both views.

    Attributes:
      views: degrees, of the K views.
      means: energy images of 64x44 pixels in [0, 1], of each view.
      projections: of each view, from centred energy images to features.
      bases: see `view_bases`.
    """

    views: Int[np.ndarray, " K"]
    means: Float[np.ndarray, "K E"]
    projections: Float[np.ndarray, "K E D"]
    bases: Float[np.ndarray, "K D R"]
    name: ClassVar[str] = "zheng"

    def distances(self, gallery: Gaits, probes: Gaits) -> Float[np.ndarray, "P G"]:
        """L1 distances of features in the gallery walk's view.

        Raises:
          InputError: a walk is in a view that was not among the training walks.
        """
        stored, seen = self._features(gallery), self._features(probes)
        out = np.zeros((len(probes), len(gallery)), np.float32)
        for i, source in enumerate(self.views):
            rows = np.flatnonzero(probes.view == source)
            for j, target in enumerate(self.views):
                columns = np.flatnonzero(gallery.view == target)
                if len(rows) and len(columns):
                    moved = seen[rows] @ view_transform(self.bases, i, j).T
                    out[np.ix_(rows, columns)] = _l1(moved, stored[columns])
        return out

    def _features(self, gaits: Gaits) -> Float[np.ndarray, "N D"]:
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
        """What to store, for `restore`."""
        return {
            field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)
        }


def restore(settings: Settings, arrays: dict[str, Any]) -> Zheng:
    """The recogniser that `Zheng.arrays` was taken from."""
    del settings
    return Zheng(**arrays)


def train(gaits: Gaits, seed: int, settings: Settings) -> Zheng:
    """Trains on all walks given; nothing is drawn at random.

    Note: the subjects' columns of the (views x subjects) matrix are walks here, a column for
    each walk of each subject; where a walk misses a view, the mean of the subject's other walks
    in that view stands in. Note: the split into a low-rank and a sparse part is of features
    instead of images, as the papers at hand put the reduction first.

    Raises:
      InputError: there are fewer than two subjects seen in all views, or scikit-learn is missing.
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
    alike = Zheng(views, np.stack(means), projected, np.zeros((len(views), size, 1), np.float32))
    matrix = _columns(gaits, views, alike._features(gaits).astype(np.float64))
    if settings.robust:
        low, _ = robust_split(matrix.reshape(len(views) * size, -1))
        matrix = low.reshape(matrix.shape)
    bases = view_bases(matrix, settings.rank).astype(np.float32)
    return dataclasses.replace(alike, bases=bases)


def _columns(
    gaits: Gaits, views: Int[np.ndarray, " K"], features: Float[np.ndarray, "M D"]
) -> Float[np.ndarray, "K D N"]:
    """Features of the same walks in all views; of subjects who were seen in all of them."""
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
        raise InputError("recogniser zheng: fewer than two walks of subjects seen in all views")
    return np.stack(out, -1)


def _flat(gaits: Gaits) -> Float[np.ndarray, "N E"]:
    return gaits.energy().reshape(len(gaits), -1).astype(np.float32) / np.float32(255)


def _l1(a: Float[np.ndarray, "P D"], b: Float[np.ndarray, "G D"]) -> Float[np.ndarray, "P G"]:
    return np.stack([np.abs(b - row).sum(1) for row in a])
