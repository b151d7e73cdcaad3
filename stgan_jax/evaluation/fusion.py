"""The best combination of all recognisers' scores: the attacker by whom a method is judged.

Scores are normalised for each probe, and weighed by logistic regression on pairs of walks of
people on whom no recogniser was trained and who are none of those to be found.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression

from stgan_jax.evaluation.attacks import Matching

NAME = "fused"


def normalized(matching: Matching) -> Float[np.ndarray, "P G"]:
    """Scores (more alike: larger) of mean 0 and deviation 1 for each probe and gallery view.

    0 where a probe is equally near to all; minus infinity where walks were not compared.
    """
    out = np.full(matching.distances.shape, -np.inf)
    for view in np.unique(matching.gallery_view):
        columns = np.flatnonzero(matching.gallery_view == view)
        rows = np.flatnonzero(np.isfinite(matching.distances[:, columns]).all(1))
        near = -matching.distances[np.ix_(rows, columns)].astype(np.float64)
        near -= near.mean(1, keepdims=True)
        spread = near.std(1, keepdims=True)
        out[np.ix_(rows, columns)] = near / np.where(spread > 1e-9, spread, np.inf)
    return out


def weights(matchings: Mapping[str, Matching]) -> dict[str, float]:
    """How much each recogniser's normalised score counts.

    Coefficients of a logistic regression that tells pairs of one person's walks from pairs of two
    people's, of the same view, both kinds equally likely. A recogniser whose coefficient is
    negative is left out and the others are fitted again: less alike never means the same person.

    Args:
      matchings: recogniser -> its matching of the same probes and gallery.

    Returns:
      recogniser -> weight, at least 0; their sum is 1.
    """
    names = list(matchings)
    first = matchings[names[0]]
    pairs = first.probe_view[:, None] == first.gallery_view
    same = (first.probe_subject[:, None] == first.gallery_subject)[pairs]
    scores = np.stack([normalized(matchings[name])[pairs] for name in names], -1)
    kept = np.ones(len(names), bool)
    found = np.zeros(len(names))
    while kept.any():
        fit = LogisticRegression(class_weight="balanced").fit(scores[:, kept], same)
        found[:] = 0.0
        found[kept] = fit.coef_[0]
        if (found >= 0).all():
            break
        kept &= found > 0
    total = found.sum()
    if not kept.any() or total <= 0:
        found, total = np.ones(len(names)), float(len(names))
    return dict(zip(names, (found / total).tolist(), strict=True))


def fused(matchings: Mapping[str, Matching], weight: Mapping[str, float]) -> Matching:
    """The weighed sum of normalised scores as one matching."""
    total = sum(weight[name] * normalized(one) for name, one in matchings.items() if weight[name])
    return dataclasses.replace(next(iter(matchings.values())), distances=-np.asarray(total))
