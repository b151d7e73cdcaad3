"""Attackers who look for people among anonymised walks: which walks they have, what they find."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from stgan_jax.evaluation import attacks, fusion, gaits, numbers, recognizers
from stgan_jax.evaluation.cache import Cache
from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.evaluation.walks import WalkPart, Walks
from stgan_jax.methods.api import Anonymizer, ReadsGaits
from stgan_jax.shapes import gei

# Whether the recogniser learns from anonymised walks, and whether the gallery is anonymised, too.
ATTACKS = {
    "ignorant": (False, False),
    "lazy-informed": (False, True),
    "semi-informed": (True, True),
}

_KEPT = 64  # walks in a file of the cache: so many are computed again after a stop
_WEIGHING = 5  # one of so many of the recognisers' subjects is kept apart to weigh scores by


class Attackers:
    """Applies recognisers to walks as each kind of attacker does, alone and all together.

    Recognisers learn from four fifths of their subjects; by the others' walks their scores are
    weighed, see `fusion`. What is found among original walks is computed once and compared with
    every method.
    """

    def __init__(
        self,
        plain: Anonymizer,
        walks: Walks,
        parts: Mapping[str, WalkPart],
        cache: Cache,
        settings: "AttackSettings",
        reader: ReadsGaits | None = None,
    ):
        """Computes nothing yet.

        Args:
          plain: leaves walks as they are.
          walks: everybody's.
          parts: see `Walks.parts`.
          cache: keeps figures, gaits and trained recognisers.
          settings: which recognisers, how they are trained and what they search.
          reader: reads the numbers of gaits; None if no recogniser compares them.
        """
        self._cache, self._settings, self._plain = cache, settings, plain
        self._gaits = functools.partial(
            _MethodGaits, walks=walks, parts=parts, reader=reader, cache=cache
        )
        self._plain_gaits = self._gaits(plain)
        self._found: dict[tuple[str, str], _Found] = {}

    def figures(self, method: Anonymizer, attack_names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Attacks a method.

        Args:
          method: anonymises the walks; for the plain one the only attack is "clean".
          attack_names: attacks in `ATTACKS`.

        Returns:
          attack -> recogniser, or `fusion.NAME` where there are several, -> `attacks.figures`; for
          the latter with the `weights`, and with `parts` where a recogniser has such.
        """
        own, names = self._gaits(method), list(self._settings.recognizers)
        names += [fusion.NAME] if len(names) > 1 else []
        out = {}
        for attack in ["clean"] if method is self._plain else attack_names:
            self._found = {key: one for key, one in self._found.items() if key[0] == "clean"}
            out[attack] = {
                name: self._cache.figures(
                    [attack, name, *self._settings.decisive(name)],
                    method,
                    functools.partial(self._figures, own, name, attack),
                )
                for name in tqdm(names, f"{method.name}: {attack}", unit="recogniser")
            }
        return out

    def pieces(self, method: Anonymizer, attack_names: Sequence[str]) -> list[tuple[str, int]]:
        """What of a method's walks these attacks need: parts, and numbers of blocks in them."""
        needed = ["probes"]
        for part, known in zip(("training", "gallery"), range(2), strict=True):
            if method is self._plain or any(ATTACKS[name][known] for name in attack_names):
                needed.append(part)
        own = self._gaits(method)
        return [(part, number) for part in needed for number in range(own.blocks(part))]

    def gaits(self, method: Anonymizer, part: str) -> AlignedGaits:
        """A method's walks of a part, see `Walks.parts`, from the cache if they are there."""
        return self._gaits(method)[part]

    def prepare(self, method: Anonymizer, part: str, number: int) -> None:
        """Anonymises one block of a part's walks, into the cache."""
        self._gaits(method).block(part, number)

    def learns(self, method: Anonymizer, attack_names: Sequence[str]) -> bool:
        """Whether recognisers learn from a method's walks in one of these attacks."""
        return method is self._plain or any(ATTACKS[name][0] for name in attack_names)

    def train(self, method: Anonymizer, name: str) -> None:
        """Trains a recogniser on a method's walks, into the cache."""
        self._recognizer(name, apart(self._gaits(method)["training"])[0])

    def _recognizer(self, name: str, learnt: AlignedGaits) -> recognizers.Recognizer:
        settings = self._settings
        return recognizers.cached(
            self._cache.folder, name, learnt, settings.seed, settings.of(name)
        )

    def _figures(self, own: "_MethodGaits", name: str, attack: str) -> dict[str, Any]:
        across = self._settings.across_views
        if name == fusion.NAME:
            matching, weights = self._fused(own, attack)
            out = attacks.figures(matching, self._fused(own, "clean")[0], across)
            return {**out, "weights": weights}
        found = self._one(own, name, attack)
        out = attacks.figures(found.matching, self._one(own, name, "clean").matching, across)
        if found.parts:
            out["parts"] = {part: attacks.summary(one) for part, one in found.parts.items()}
        return out

    def _fused(self, own: "_MethodGaits", attack: str) -> tuple[attacks.Matching, dict[str, float]]:
        """All recognisers together; they count equally if nobody is there to weigh them by."""
        found = {name: self._one(own, name, attack) for name in self._settings.recognizers}
        weighing = {n: f.weighing for n, f in found.items() if f.weighing is not None}
        weights = fusion.weights(weighing) if weighing else dict.fromkeys(found, 1 / len(found))
        return fusion.fused({n: f.matching for n, f in found.items()}, weights), weights

    def _one(self, own: "_MethodGaits", name: str, attack: str) -> "_Found":
        """One recogniser's matchings, kept until the next attack; those of clean walks for good."""
        if (attack, name) not in self._found:
            self._found[attack, name] = self._matched(own, name, attack)
        return self._found[attack, name]

    def _matched(self, own: "_MethodGaits", name: str, attack: str) -> "_Found":
        plain = self._plain_gaits
        learns, knows = (own if known else plain for known in ATTACKS.get(attack, (False, False)))
        gallery, probes = knows["gallery"], (plain if attack == "clean" else own)["probes"]
        learnt, weighing = apart(learns["training"])
        settings = self._settings
        recognizer = self._recognizer(name, learnt)
        match = functools.partial(attacks.matching, across_views=settings.across_views)
        parts = {}
        if isinstance(recognizer, recognizers.InParts):
            for part in recognizer.parts:
                parts[part] = match(functools.partial(recognizer.part, part), gallery, probes)
        return _Found(
            match(recognizer.distances, gallery, probes),
            _weighing(recognizer, weighing) if weighing is not None else None,
            parts,
        )


@dataclasses.dataclass(frozen=True)
class AttackSettings:
    """How walks are attacked.

    Attributes:
      recognizers: names in `recognizers.KINDS`.
      across_views: whether galleries of other views are searched, too.
      size: the networks' size, one of `recognizers.SIZES`.
      seed: decides what recognisers draw in their training.
    """

    recognizers: Sequence[str]
    across_views: bool = True
    size: str = "medium"
    seed: int = 0

    def of(self, name: str) -> Any:
        """A recogniser's settings; None for its defaults."""
        return recognizers.KINDS[name].sizes.get(self.size)

    def decisive(self, name: str) -> list[Any]:
        """What figures depend on besides recogniser, method and attack."""
        fused = list(self.recognizers) if name == fusion.NAME else []
        return [self.across_views, self.size, *fused]


class _Found(NamedTuple):
    """What a recogniser finds: among the people searched, those it is weighed by, and by part."""

    matching: attacks.Matching
    weighing: attacks.Matching | None
    parts: dict[str, attacks.Matching]


def split(people: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The first four fifths of the recognisers' subjects, to learn from, and the rest, to weigh by.

    At least two of each; if fewer than four are there, all learn and nobody weighs.
    """
    count = max(2, len(people) // _WEIGHING)
    count = count if len(people) >= 2 + count else 0
    return people[: len(people) - count], people[len(people) - count :]


def apart(walks: AlignedGaits) -> tuple[AlignedGaits, AlignedGaits | None]:
    """The walks of those who teach recognisers, and of those by whom these are weighed, if any."""
    _, weighing = split(np.unique(walks.subject).tolist())
    weigh = np.isin(walks.subject, weighing)
    return walks[~weigh], walks[weigh] if weighing else None


def _weighing(recognizer: recognizers.Recognizer, walks: AlignedGaits) -> attacks.Matching:
    in_gallery, in_probes = gei.gallery_and_probes(walks.condition, walks.repetition)
    return attacks.matching(recognizer.distances, walks[in_gallery], walks[in_probes], False)


class _MethodGaits:
    """A method's gaits by part, each computed when it is first needed."""

    def __init__(
        self,
        method: Anonymizer,
        walks: Walks,
        parts: Mapping[str, WalkPart],
        reader: ReadsGaits | None,
        cache: Cache,
    ):
        """Computes nothing yet."""
        self._method, self._walks, self._parts, self._cache = method, walks, parts, cache
        self._reader = reader
        self._gaits: dict[str, AlignedGaits] = {}

    def __getitem__(self, part: str) -> AlignedGaits:
        if part not in self._gaits:
            blocks = [self.block(part, number) for number in range(self.blocks(part))]
            self._gaits[part] = gaits.joined(blocks)
        return self._gaits[part]

    def blocks(self, part: str) -> int:
        """How many files of the cache a part takes."""
        return -(-int(self._parts[part].mask.sum()) // _KEPT)

    def block(self, part: str, number: int) -> AlignedGaits:
        """Some of a part's walks, from the cache if they are there."""
        index = np.flatnonzero(self._parts[part].mask)[number * _KEPT :][:_KEPT]
        seed = self._parts[part].seed
        what = "to learn from" if part == "training" else part
        read = [numbers.VERSION, self._reader.digest] if self._reader else []
        names = hashlib.sha256(repr([self._walks.names[i] for i in index.tolist()]).encode())
        return self._cache.gaits(
            ["walks", part, names.hexdigest(), *read],
            self._method,
            lambda: self._walks.gaits(self._method, index, seed, what, self._reader),
        )
