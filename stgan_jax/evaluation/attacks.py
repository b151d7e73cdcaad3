"""What an attacker who compares walks learns: identification, verification, linkability."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float, Int, Shaped
from sklearn.metrics import det_curve

from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.util.errors import InputError

Subjects = Shaped[np.ndarray, " _"] | Sequence[int]


def hits(
    distances: Float[np.ndarray, "P G"], gallery: Subjects, probes: Subjects, top: int = 1
) -> Float[np.ndarray, " P"]:
    """Whether each probe's own subject is among the `top` nearest ones, from 0 to 1.

    A subject is as near as the nearest of their gallery walks. Of subjects who are equally near,
    the chance that a random order would put the right one first counts: to find all equally near
    is no success.

    Args:
      distances: from each probe to each gallery walk.
      gallery: subject of each gallery walk.
      probes: subject of each probe.
      top: number of subjects whom the attacker names.

    Raises:
      InputError: a probe's subject is not in the gallery, or there is only one subject.
    """
    known, column = np.unique(np.asarray(gallery), return_inverse=True)
    own = np.searchsorted(known, probes)
    missing = np.setdiff1d(probes, known)
    if len(missing):
        raise InputError(
            f"subject {missing[0]} has no gallery walk, so that nobody could find them: take "
            "walks of the gallery (nm-01 to nm-04) into the evaluation"
        )
    if len(known) < 2:
        raise InputError("one subject alone can be mistaken for nobody: evaluate two or more")
    nearest = np.full((len(distances), len(known)), np.inf)
    for subject in range(len(known)):
        nearest[:, subject] = distances[:, column == subject].min(1)
    of_own = nearest[np.arange(len(nearest)), own][:, None]
    nearer, equal = (nearest < of_own).sum(1), (nearest == of_own).sum(1)
    return np.clip((top - nearer) / equal, 0.0, 1.0)


def success(
    found: Float[np.ndarray, " P"], found_before: Float[np.ndarray, " P"]
) -> dict[str, float]:
    """Success rates of anonymisation by the papers' two definitions.

    Args:
      found: `hits` of the anonymised probes.
      found_before: `hits` of the same probes before anonymisation.

    Returns:
      `all`, the share not recognised (ST-GAN 4.2); `recognized_before`, M / |S|, the share not
      recognised among those that were recognised before (WIFS IV-B), NaN if none was.
    """
    before = found_before.sum()
    lost = (found_before * (1 - found)).sum()
    return {
        "all": float(1 - found.mean()),
        "recognized_before": float(lost / before) if before else float("nan"),
    }


def interval(values: Float[np.ndarray, " P"], subjects: Subjects) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over probes (percentile method, 2000 draws, one seed).

    Whole subjects are drawn, as probes of one person err together. Both ends are the mean if
    there is one subject, or all have the same.
    """
    subjects = np.asarray(subjects)
    each = np.array([values[subjects == subject].mean() for subject in np.unique(subjects)])
    if len(each) < 2 or np.ptp(each) == 0:
        return float(each.mean()), float(each.mean())
    drawn = scipy.stats.bootstrap(
        (each,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def equal_error_rate(mated: Float[np.ndarray, " M"], nonmated: Float[np.ndarray, " N"]) -> float:
    """EER of verification by a threshold: 0 if scores separate people, 0.5 at chance.

    Args:
      mated: scores of pairs of one person's walks, larger for more alike.
      nonmated: scores of pairs of two people's walks.
    """
    labels = np.repeat([1, 0], [len(mated), len(nonmated)])
    accepted, refused, _ = det_curve(labels, np.concatenate([mated, nonmated]))
    # From the loosest threshold to the strictest, errors linear between two of them.
    accepted, refused = np.append(accepted, 0.0), np.append(refused, 1.0)
    after = int(np.argmax(refused >= accepted))
    if after == 0:
        return float(accepted[0] + refused[0]) / 2
    gap = (accepted - refused)[[after - 1, after]]
    part = gap[0] / (gap[0] - gap[1])
    return float(accepted[after - 1] + part * (accepted[after] - accepted[after - 1]))


def linkability(mated: Float[np.ndarray, " M"], nonmated: Float[np.ndarray, " N"]) -> float:
    """D_sys of Gomez-Barrero et al. 2018: 0 if scores say nothing of who is who, 1 if everything.

    The integral of D(s) p(s | mated), D = 2 LR / (1 + LR) - 1, at least 0, and
    LR = p(s | mated) / p(s | nonmated), both equally likely beforehand (w = 1). Densities are
    counted in bins that hold equally many mated scores, and in one below them all.

    Args:
      mated: scores of pairs of one person's walks.
      nonmated: scores of pairs of two people's walks.
    """
    bins = int(np.clip(len(mated) // 100, 5, 100))
    edges = np.unique(np.quantile(mated, np.linspace(0, 1, bins + 1)[:-1]))
    p, q = (
        np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1)
        / len(scores)
        for scores in (mated, nonmated)
    )
    used = p > 0
    return float(np.sum(p[used] * np.maximum((p - q)[used] / (p + q)[used], 0.0)))


@dataclasses.dataclass(frozen=True)
class Matching:
    """A recogniser's distances between probes and gallery walks, with subjects and views.

    Attributes:
      distances: from each probe to each gallery walk, smaller for more alike.
      probe_subject: number of the person.
      probe_condition: "nm", "bg" or "cl".
      probe_view: degrees.
      gallery_subject: number of the person.
      gallery_view: degrees.
    """

    distances: Float[np.ndarray, "P G"]
    probe_subject: Int[np.ndarray, " P"]
    probe_condition: np.ndarray
    probe_view: Int[np.ndarray, " P"]
    gallery_subject: Int[np.ndarray, " G"]
    gallery_view: Int[np.ndarray, " G"]

    def hits(self, probe_view: int, gallery_view: int, top: int = 1) -> Float[np.ndarray, " n"]:
        """`hits` of one view's probes in another view's gallery, in the probes' order.

        NaN if a probe's subject is missing there: in CASIA-B some walks are.
        """
        p, g = self.probe_view == probe_view, self.gallery_view == gallery_view
        known = np.isin(self.probe_subject[p], self.gallery_subject[g])
        if not known.any():
            raise InputError(
                f"no probe seen from {probe_view} degrees has a gallery walk of the same subject "
                f"seen from {gallery_view} degrees, so that nobody could be found"
            )
        out = np.full(len(known), np.nan)
        p = np.flatnonzero(p)[known]
        distances = self.distances[np.ix_(p, g)]
        out[known] = hits(distances, self.gallery_subject[g], self.probe_subject[p], top)
        return out

    def same_view(self, top: int = 1) -> Float[np.ndarray, " P"]:
        """`hits` of every probe in the gallery of its own view."""
        out = np.empty(len(self.probe_view))
        for view in np.unique(self.probe_view).tolist():
            out[self.probe_view == view] = self.hits(view, view, top)
        return out

    def scores(self) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " N"]]:
        """Scores (minus distances) of the mated and the non-mated pairs of the same view."""
        same = self.probe_view[:, None] == self.gallery_view
        mated = self.probe_subject[:, None] == self.gallery_subject
        return -self.distances[same & mated], -self.distances[same & ~mated]

    def table(self, condition: str = "nm") -> Float[np.ndarray, "V V"]:
        """Rank-1 accuracy by view of the probe (rows) and of the gallery (WIFS Table I)."""
        views = np.unique(self.probe_view).tolist()
        chosen = self.probe_condition == condition
        out = np.full((len(views), len(views)), np.nan)
        for i, probe_view in enumerate(views):
            of_view = chosen[self.probe_view == probe_view]
            for j, gallery_view in enumerate(views):
                out[i, j] = np.nanmean(self.hits(probe_view, gallery_view)[of_view])
        return out


def figures(matching: Matching, before: Matching, across_views: bool = True) -> dict[str, Any]:
    """All privacy figures of one recogniser under one attack.

    Args:
      matching: distances of the anonymised probes.
      before: distances of the same probes before anonymisation, by the recogniser trained on
        originals.
      across_views: whether to add the table of all views against all.

    Returns:
      the figures under `privacy` in a report: plain numbers, lists and dicts.
    """
    found = {top: matching.same_view(top) for top in (1, 3)}
    clean = {top: before.same_view(top) for top in (1, 3)}
    known = ~np.isnan(found[1])
    out: dict[str, Any] = {"conditions": {}, "probes_without_gallery": int((~known).sum())}
    for condition in np.unique(matching.probe_condition[known]):
        chosen = known & (matching.probe_condition == condition)
        subjects, views = matching.probe_subject[chosen], matching.probe_view[chosen]
        out["conditions"][str(condition)] = {
            f"rank{top}": _identified(found[top][chosen], clean[top][chosen], subjects, views)
            for top in (1, 3)
        }
    mated, nonmated = matching.scores()
    out["eer"] = equal_error_rate(mated, nonmated)
    out["linkability"] = linkability(mated, nonmated)
    people = len(np.unique(matching.gallery_subject))
    out["chance"] = {"rank1": 1 / people, "rank3": min(1.0, 3 / people), "eer": 0.5}
    if across_views:
        out["table"] = {name: _views(matching, name) for name in out["conditions"]}
    return out


def summary(matching: Matching) -> dict[str, Any]:
    """Of normal walks, same view: `rank1`, its `interval`, and the `eer` of all pairs."""
    found = matching.same_view()
    chosen = ~np.isnan(found) & (matching.probe_condition == "nm")
    low, high = interval(found[chosen], matching.probe_subject[chosen])
    out = {"rank1": float(found[chosen].mean()), "interval": [low, high]}
    return {**out, "eer": equal_error_rate(*matching.scores())}


def _identified(found, clean, subjects, views) -> dict[str, Any]:
    low, high = interval(found, subjects)
    return {
        "accuracy": float(found.mean()),
        "interval": [low, high],
        "success": success(found, clean),
        "by_view": {str(view): float(found[views == view].mean()) for view in np.unique(views)},
        "success_by_view": {
            str(view): success(found[views == view], clean[views == view])
            for view in np.unique(views)
        },
    }


def _views(matching: Matching, condition: str) -> dict[str, Any]:
    table = matching.table(condition)
    other = ~np.eye(len(table), dtype=bool)
    return {
        "views": np.unique(matching.probe_view).tolist(),
        "rank1": table.tolist(),
        "mean": float(table.mean()),
        "mean_other_views": float(table[other].mean()) if other.any() else None,
    }


def matching(
    distances: Callable[[AlignedGaits, AlignedGaits], Float[np.ndarray, "P G"]],
    gallery: AlignedGaits,
    probes: AlignedGaits,
    across_views: bool = True,
) -> Matching:
    """Applies a recogniser.

    Args:
      distances: the recogniser's, of (gallery, probes).
      gallery: walks of people whom the attacker knows.
      probes: walks of people whom the attacker looks for.
      across_views: False to compare walks of the same view only, which is all that `Matching`
        without `table` needs: a fraction of the work. The other distances are infinite.
    """
    if across_views:
        found = distances(gallery, probes)
    else:
        found = np.full((len(probes), len(gallery)), np.inf, np.float32)
        for view in np.unique(probes.view):
            p, g = probes.view == view, gallery.view == view
            if g.any():
                found[np.ix_(p, g)] = distances(gallery[g], probes[p])
    return Matching(
        found, probes.subject, probes.condition, probes.view, gallery.subject, gallery.view
    )
