"""Attackers who look for people among anonymised walks: which walks they have, what they find."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from stgan_jax.evaluation import attacks, recognizers
from stgan_jax.evaluation.cache import Cache
from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.evaluation.walks import WalkPart, Walks
from stgan_jax.methods.api import Anonymizer

# Whether the recogniser learns from anonymised walks, and whether the gallery is anonymised, too.
ATTACKS = {
    "ignorant": (False, False),
    "lazy-informed": (False, True),
    "semi-informed": (True, True),
}


class Attackers:
    """Applies recognisers to walks as each kind of attacker does.

    What recognisers find among original walks is computed once and compared with every method.
    """

    def __init__(
        self,
        plain: Anonymizer,
        walks: Walks,
        parts: Mapping[str, WalkPart],
        cache: Cache,
        across_views: bool = True,
        seed: int = 0,
    ):
        """Computes nothing yet.

        Args:
          plain: leaves walks as they are.
          walks: everybody's.
          parts: see `Walks.parts`.
          cache: keeps figures, original gaits and trained recognisers.
          across_views: whether galleries of other views are searched, too.
          seed: for training recognisers.
        """
        self._walks, self._parts, self._cache = walks, parts, cache
        self._across_views, self._seed = across_views, seed
        self._plain = plain
        self._plain_gaits = _MethodGaits(plain, walks, parts, cache)
        self._clean_matchings: dict[str, attacks.Matching] = {}

    def figures(
        self, method: Anonymizer, names: Sequence[str], attack_names: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Attacks a method.

        Args:
          method: anonymises the walks; for the plain one the only attack is "clean".
          names: recognisers in `recognizers.KINDS`.
          attack_names: attacks in `ATTACKS`.

        Returns:
          attack -> recogniser -> `attacks.figures`.
        """
        own = _MethodGaits(method, self._walks, self._parts)
        return {
            attack: {
                name: self._cache.figures(
                    [attack, name, self._across_views],
                    method,
                    functools.partial(self._figures, own, name, attack),
                )
                for name in tqdm(names, f"{method.name}: {attack}", unit="recogniser")
            }
            for attack in (["clean"] if method is self._plain else attack_names)
        }

    def _figures(self, own: "_MethodGaits", name: str, attack: str) -> dict[str, Any]:
        clean = self._clean(name)
        matching = clean if attack == "clean" else self._attacked(own, name, attack)
        return attacks.figures(matching, clean, self._across_views)

    def _clean(self, name: str) -> attacks.Matching:
        """The recogniser on original walks."""
        if name not in self._clean_matchings:
            gaits = self._plain_gaits
            self._clean_matchings[name] = self._matching(
                name, gaits["training"], gaits["gallery"], gaits["probes"]
            )
        return self._clean_matchings[name]

    def _attacked(self, own: "_MethodGaits", name: str, attack: str) -> attacks.Matching:
        training, gallery = (own if known else self._plain_gaits for known in ATTACKS[attack])
        return self._matching(name, training["training"], gallery["gallery"], own["probes"])

    def _matching(
        self, name: str, training: AlignedGaits, gallery: AlignedGaits, probes: AlignedGaits
    ) -> attacks.Matching:
        recognizer = recognizers.cached(self._cache.folder, name, training, self._seed)
        return attacks.matching(recognizer.distances, gallery, probes, self._across_views)


class _MethodGaits:
    """A method's gaits by part, each computed when it is first needed."""

    def __init__(
        self,
        method: Anonymizer,
        walks: Walks,
        parts: Mapping[str, WalkPart],
        cache: Cache | None = None,
    ):
        """Takes a cache if they are to be stored."""
        self._method, self._walks, self._parts, self._cache = method, walks, parts, cache
        self._gaits: dict[str, AlignedGaits] = {}

    def __getitem__(self, part: str) -> AlignedGaits:
        if part not in self._gaits:
            mask, seed = self._parts[part]
            what = "to learn from" if part == "training" else part
            compute = functools.partial(self._walks.gaits, self._method, mask, seed, what)
            if self._cache:
                number = list(self._parts).index(part)  # as in files that are cached already
                self._gaits[part] = self._cache.gaits(["walks", number], self._method, compute)
            else:
                self._gaits[part] = compute()
        return self._gaits[part]
