"""How private and how natural anonymised walks are: every figure of the papers, and attackers."""

import collections
import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax import contour
from stgan_jax.data import splits
from stgan_jax.errors import InputError
from stgan_jax.evaluation import (
    detectors,
    gaits,
    gei,
    naturalness,
    noise,
    privacy,
    recognizers,
    recovery,
    report,
)
from stgan_jax.evaluation.gaits import Gaits
from stgan_jax.methods import Method, unprotected

if TYPE_CHECKING:
    from stgan_jax.data.datasets import Walk
    from stgan_jax.data.pipeline import Source

FRAMES = 50  # ST-GAN 4: the last frames of each sequence; shorter ones are left out
ATTACKS = ("ignorant", "lazy-informed", "semi-informed")
_CHUNK = 8  # walks a call of a method
_SCORED_WALKS = 8  # a view, by the networks
_RECOVERY = 5  # of so many frames one is recovered
_REFERENCE_WALKS = 40  # of others, a view, that anonymised silhouettes are compared with
# Different noise for what is published, for the attacker's gallery and for their training.
_PUBLISHED, _GALLERY, _TRAINING = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how thoroughly.

    Attributes:
      recognizers: of `recognizers.METHODS`.
      attacks: of `ATTACKS`.
      across_views: whether galleries of other views are searched, too.
      natural_walks: how many walks a view the naturalness figures are taken of.
      recovery_walks: as many a view a recovery attack learns from, and is made on; 0 for none.
      seed: of all noise and of the recognisers.
    """

    recognizers: Sequence[str] = tuple(recognizers.METHODS)
    attacks: Sequence[str] = ATTACKS
    across_views: bool = True
    natural_walks: int = 40
    recovery_walks: int = 50
    seed: int = 0

    def __post_init__(self):
        """Raises `InputError` for a recogniser or an attack that there is not."""
        for what, given, known in (
            ("recognizers", self.recognizers, recognizers.METHODS),
            ("attacks", self.attacks, ATTACKS),
        ):
            unknown = set(given) - set(known)
            if unknown or not given:
                raise InputError(f"{what}: choose of {', '.join(known)}")


def options(
    quick: bool = False, recognizers: Sequence[str] = (), attacks: Sequence[str] = (), seed: int = 0
) -> Options:
    """Options of a command line: what is empty is taken from the quick ones or the full ones."""
    base = Options(("gei", "zheng"), ATTACKS, False, 2, 16, seed) if quick else Options(seed=seed)
    return dataclasses.replace(
        base, recognizers=recognizers or base.recognizers, attacks=attacks or base.attacks
    )


class Walks:
    """Sequences of 50 frames, and what methods make of them.

    Attributes:
      named: what each is.
      subject, condition, repetition, view: the same as arrays.
    """

    def __init__(self, named: "Sequence[Walk]", sources: Mapping[str, "Source"]):
        """Takes the walks' names, and their contours by codec."""
        self.named, self._sources = named, sources
        self.subject, self.condition, self.repetition, self.view = (
            np.array([getattr(walk, name) for walk in named])
            for name in ("subject", "condition", "repetition", "view")
        )

    @classmethod
    def of_dataset(
        cls, dataset: str, data_dir: str | os.PathLike, views: Sequence[int] | None = None
    ) -> "Walks":
        """All of a built dataset's. Raises `InputError` where it is not there or lacks a view."""
        from stgan_jax.data import datasets, pipeline  # TensorFlow: only where data are read

        everybody = range(1, splits.SUBJECTS + 1)
        sequences = datasets.Sequences(dataset, data_dir, everybody, views, least_frames=FRAMES)
        missing = set(views or ()) - {walk.view for walk in sequences.walks}
        if missing:
            raise InputError(f"{dataset}: holds no walk seen from {min(missing)} degrees")
        sources = {
            codec: pipeline.sequence_source(sequences, frames=FRAMES, codec=codec)
            for codec in contour.CODECS
        }
        return cls(sequences.walks, sources)

    def roles(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Who trains recognisers and who is to be recognised: as in ST-GAN 4, or halves.

        Raises:
          InputError: there are fewer than four people.
        """
        there = sorted(set(self.subject.tolist()))
        roles = splits.subjects("stgan")
        training, test = (
            tuple(subject for subject in roles[role] if subject in there)
            for role in ("recognizer", "test")
        )
        if min(len(training), len(test)) >= 2:
            return training, test
        if len(there) < 4:
            raise InputError(
                f"there are {len(there)} subjects, and it takes four: two to train recognisers "
                "and two others to be told apart"
            )
        return tuple(there[: len(there) // 2]), tuple(there[len(there) // 2 :])

    def of(self, subjects: Sequence[int]) -> Bool[np.ndarray, " N"]:
        """Which walks are of the given people."""
        return np.isin(self.subject, subjects)

    def contours(self, index: Int[np.ndarray, " B"], codec: str) -> Float[np.ndarray, "B T 4000"]:
        """Walks' own contours in [0, 1]."""
        return np.asarray(contour.fixed_to_unit(self._sources[codec].fetch(index, index)))

    def silhouettes(
        self, method: Method, index: Int[np.ndarray, " M"], seed: int
    ) -> Iterator[tuple[int, Float[np.ndarray, "T 4000"], UInt8[np.ndarray, "T 240 240"]]]:
        """What a method makes: number, contours in pixels and silhouettes of each walk."""

        def make(start: int):
            # One compiled shape: the last ones are filled up.
            rows = index[np.minimum(np.arange(start, start + _CHUNK), len(index) - 1)]
            walks = [self.named[i] for i in rows]
            made = method.contours(self.contours(rows, method.codec), walks, seed)
            count = min(_CHUNK, len(index) - start)
            drawn = contour.decode(made[:count], method.codec)
            return zip(rows.tolist(), made, drawn)  # noqa: B905 (as many as were asked for)

        with ThreadPoolExecutor(2) as pool:
            ahead: collections.deque = collections.deque()
            for start in range(0, len(index), _CHUNK):
                ahead.append(pool.submit(make, start))
                if len(ahead) > 2:  # a little ahead of whoever looks at them
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()

    def gaits(self, method: Method, chosen: Bool[np.ndarray, " N"], seed: int, what: str) -> Gaits:
        """Walks after a method, as recognisers see them; with a progress bar that says `what`."""
        index = np.flatnonzero(chosen)
        bar = tqdm(total=len(index), desc=f"{method.name}: {what}", unit="walk")

        def each():
            for number, _, silhouettes in self.silhouettes(method, index, seed):
                yield self.named[number], silhouettes
                bar.update()

        with bar:
            return gaits.collect(each())


def evaluate(
    methods: Sequence[Method],
    walks: Walks,
    options: Options = Options(),
    cache: str | os.PathLike = "runs/recognizers",
    dataset: str = "",
    detector: detectors.Network | None = None,
    action: detectors.Network | None = None,
) -> tuple[dict[str, Any], dict[str, UInt8[np.ndarray, "_ _"]]]:
    """Measures methods on walks of people whom nothing was trained on.

    Args:
      methods: what is compared, beside the unprotected walks.
      walks: of everybody, see `Walks.roles` and `gei.gallery_and_probes`.
      options: what to measure.
      cache: folder of trained recognisers, which are used again.
      dataset: what the walks are of, for the report.
      detector: gives the frame score; None for OpenCV's people detector.
      action: gives the video score; None for none.

    Returns:
      the report (see `evaluation.report`), and pictures by name.

    Raises:
      InputError: too few people or walks for a figure.
    """
    training, test = walks.roles()
    is_gallery, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    chosen = {
        "training": walks.of(training),
        "gallery": walks.of(test) & is_gallery,
        "probes": walks.of(test) & is_probe,
    }
    for name, mask in chosen.items():
        if not (mask & (walks.condition == "nm")).any():
            raise InputError(
                f"no normal walk of {FRAMES} frames is there for {name}: nm-01 to nm-04 are the "
                "gallery, nm-05, nm-06, bg and cl the probes"
            )

    def trained(method: Method, seed: int) -> list[recognizers.Recognizer]:
        material = walks.gaits(method, chosen["training"], seed, "to learn from")
        return [
            recognizers.cached(cache, name, material, options.seed) for name in options.recognizers
        ]

    plain, *others = _plain_first(methods)
    seeds = [options.seed * 3 + role for role in (_PUBLISHED, _GALLERY, _TRAINING)]
    gallery = walks.gaits(plain, chosen["gallery"], 0, "gallery")
    probes = walks.gaits(plain, chosen["probes"], 0, "probes")
    knowing = trained(plain, 0)
    clean = {
        r.name: privacy.matching(r.distances(gallery, probes), gallery, probes) for r in knowing
    }
    rows = [_row(plain, {"clean": clean}, clean, options)]
    for method in others:
        seen: dict[str, dict[str, privacy.Matching]] = {}
        made = walks.gaits(method, chosen["probes"], seeds[_PUBLISHED], "probes")
        stored = gallery
        if set(options.attacks) - {"ignorant"}:
            stored = walks.gaits(method, chosen["gallery"], seeds[_GALLERY], "gallery")
        for attack in options.attacks:
            attackers = knowing
            if attack == "semi-informed":
                attackers = trained(method, seeds[_TRAINING])
            searched = gallery if attack == "ignorant" else stored
            seen[attack] = {
                r.name: privacy.matching(r.distances(searched, made), searched, made)
                for r in tqdm(attackers, f"{method.name}: {attack}", unit="recogniser")
            }
        rows.append(_row(method, seen, clean, options))
    if options.recovery_walks:
        _recovered(rows, [plain, *others], walks, chosen, options, seeds)
    scores = functools.partial(_scores, detector=detector, action=action)
    pictures = _natural(rows, [plain, *others], walks, chosen, options, seeds[_PUBLISHED], scores)
    return {
        "version": report.VERSION,
        "dataset": dataset,
        "views": sorted(set(walks.view.tolist())),
        "frames": FRAMES,
        "subjects": {"recognizers": list(training), "test": list(test)},
        "walks": {name: int(mask.sum()) for name, mask in chosen.items()},
        "recognizers": list(options.recognizers),
        "attacks": list(options.attacks),
        "seed": options.seed,
        "frame_score_by": detectors.HOG if detector is None else detector.name,
        "video_score_by": None if action is None else action.name,
        "methods": rows,
    }, pictures


def _plain_first(methods: Sequence[Method]) -> list[Method]:
    others = [method for method in methods if method.kind != "unprotected"]
    names = [method.name for method in others]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"two methods are called {min(twice)}: rename a folder")
    return [unprotected(), *others]


def _row(
    method: Method,
    seen: Mapping[str, Mapping[str, privacy.Matching]],
    clean: Mapping[str, privacy.Matching],
    options: Options,
) -> dict[str, Any]:
    """A method's part of the report."""
    return {
        "name": method.name,
        "kind": method.kind,
        "alpha": method.alpha,
        "digest": method.digest,
        "privacy": {
            attack: {
                name: privacy.figures(matching, clean[name], options.across_views)
                for name, matching in by.items()
            }
            for attack, by in seen.items()
        },
    }


def _recovered(rows, methods, walks: Walks, chosen, options: Options, seeds: list[int]) -> None:
    """Adds to each method's row how well its originals can be computed back."""

    def pairs(method: Method, mask, seed: int) -> recovery.Pairs:
        index = _spread(mask & (walks.condition == "nm"), options.recovery_walks)
        made = {i: seen[::_RECOVERY] for i, _, seen in walks.silhouettes(method, index, seed)}
        contours = [contour.to_unit(contour.encode(made[i])) for i in index.tolist()]
        own = walks.contours(index, "resampled")[:, ::_RECOVERY]
        return recovery.Pairs(own, np.stack(contours), walks.subject[index])

    views = sorted(set(walks.view.tolist()))
    for row, method in zip(rows, methods, strict=True):
        by_view = {
            str(view): recovery.figures(
                pairs(method, chosen["training"] & (walks.view == view), seeds[_TRAINING]),
                pairs(method, chosen["probes"] & (walks.view == view), seeds[_PUBLISHED]),
            )
            for view in tqdm(views, f"{method.name}: recovery", unit="view")
        }
        row["recovery"] = {"pixels": _mean(list(by_view.values())), "by_view": by_view}


def _natural(rows, methods, walks: Walks, chosen, options: Options, seed: int, scores):
    """Adds each method's naturalness figures to its row; gives pictures."""
    pictures: dict[str, UInt8[np.ndarray, "H W"]] = {}
    by_view: dict[str, dict[str, Any]] = {method.name: {} for method in methods}
    plain = methods[0]
    views = sorted(set(walks.view.tolist()))
    for view in tqdm(views, "naturalness", unit="view"):
        index = _spread(chosen["probes"] & (walks.view == view), options.natural_walks)
        others = _spread(chosen["training"] & (walks.view == view), _REFERENCE_WALKS)
        reference = np.concatenate(
            [gei.normalize(seen[::5]) for _, _, seen in walks.silhouettes(plain, others, 0)]
        )
        original = {i: seen for i, _, seen in walks.silhouettes(plain, index, 0)}
        shown: list[UInt8[np.ndarray, "T 240 240"]] = []
        for method in methods:
            figures: list[dict[str, Any]] = []
            for i, made, seen in walks.silhouettes(method, index, seed):
                told: dict[str, Any] = naturalness.walk_figures(
                    original[i], seen, made, method.codec, reference
                )
                if len(figures) < _SCORED_WALKS:
                    told |= scores(seen)
                figures.append(told)
                if i == index[0]:
                    shown.append(seen)
            by_view[method.name][str(view)] = _mean(figures)
        pictures[f"walk-{view:03d}"] = _sheet(shown)
        if len(shown) > 1:
            pictures[f"xor-{view:03d}"] = np.vstack(
                [naturalness.xor_row(shown[0], other) for other in shown[1:]]
            )
    for row in rows:
        own = by_view[row["name"]]
        row["naturalness"] = {"measures": _mean(list(own.values())), "by_view": own}
    return pictures


def _scores(
    silhouettes: UInt8[np.ndarray, "T 240 240"],
    detector: detectors.Network | None,
    action: detectors.Network | None,
) -> dict[str, float | None]:
    """Frame and video score of a walk, drawn dark on light; of every fifth frame the former."""
    drawn = detectors.draw(silhouettes)
    return {
        "frame_score": detectors.frame_score(drawn[::5], detector).value,
        "video_score": detectors.video_score(drawn, action).value,
    }


def _spread(mask: Bool[np.ndarray, " N"], count: int) -> Int[np.ndarray, " M"]:
    """Some of the chosen ones, from first to last."""
    index = np.flatnonzero(mask)
    return index[np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).astype(int))]


def _mean(figures: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Means over what could be measured; None where nothing could."""
    out: dict[str, float | None] = {}
    for name in figures[0]:
        values = [f[name] for f in figures if f.get(name) is not None]
        measured = [value for value in values if np.isfinite(value)]
        out[name] = float(np.mean(measured)) if measured else None
    return out


def _sheet(walks: Sequence[UInt8[np.ndarray, "T 240 240"]], columns: int = 10):
    """A row of silhouettes for each of the given walks."""
    rows = [walk[np.linspace(0, len(walk) - 1, columns).astype(int)] for walk in walks]
    return noise.grid(np.concatenate(rows), columns)
