"""How private and how natural anonymised walks are: every figure of the papers, and attackers."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8
from tqdm import tqdm

from stgan_jax import __version__, contour, files
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
from stgan_jax.material import FRAMES, Walks
from stgan_jax.methods import Method, unprotected

ATTACKS = ("ignorant", "lazy-informed", "semi-informed")
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
      cache: folder of trained recognisers and of figures that are known, which are used again by
        the same version: an evaluation that was stopped goes on.
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

    plain, *others = _plain_first(methods)
    seeds = [options.seed * 3 + role for role in (_PUBLISHED, _GALLERY, _TRAINING)]
    kept = _Kept(cache, [__version__, report.VERSION, dataset, walks.digest(), options.seed])

    @functools.lru_cache(3)  # those of one method
    def anonymized(method: Method, role: int) -> Gaits:
        name = ("probes", "gallery", "training")[role]
        said = "to learn from" if role == _TRAINING else name
        return walks.gaits(method, chosen[name], seeds[role], said)

    @functools.cache
    def as_they_are(role: int) -> Gaits:
        path = kept.path(["walks", role], plain, "walks", ".npz")
        return gaits.kept(path, functools.partial(anonymized, plain, role))

    def recognizer(name: str, material: Gaits) -> recognizers.Recognizer:
        return recognizers.cached(cache, name, material, options.seed)

    def matching(knowing: recognizers.Recognizer, gallery: Gaits, probes: Gaits):
        return privacy.matching(knowing.distances, gallery, probes, options.across_views)

    @functools.cache
    def clean(name: str) -> privacy.Matching:
        knowing = recognizer(name, as_they_are(_TRAINING))
        return matching(knowing, as_they_are(_GALLERY), as_they_are(_PUBLISHED))

    def attacked(method: Method, attack: str, name: str) -> privacy.Matching:
        material = as_they_are(_TRAINING)
        if attack == "semi-informed":
            material = anonymized(method, _TRAINING)
        gallery = (as_they_are if attack == "ignorant" else functools.partial(anonymized, method))(
            _GALLERY
        )
        return matching(recognizer(name, material), gallery, anonymized(method, _PUBLISHED))

    def figures(method: Method, attack: str, name: str) -> dict[str, Any]:
        matching = clean(name) if method is plain else attacked(method, attack, name)
        return privacy.figures(matching, clean(name), options.across_views)

    rows: list[dict[str, Any]] = []
    for method in (plain, *others):
        rows.append({
            "name": method.name, "kind": method.kind, "alpha": method.alpha,
            "codec": method.codec, "digest": method.digest, "privacy": {},
        })  # fmt: skip
        for attack in ["clean"] if method is plain else options.attacks:
            rows[-1]["privacy"][attack] = {
                name: kept(
                    [attack, name, options.across_views], method,
                    functools.partial(figures, method, attack, name),
                )
                for name in tqdm(options.recognizers, f"{method.name}: {attack}", unit="recogniser")
            }  # fmt: skip
    if options.recovery_walks:
        _recovered(rows, [plain, *others], walks, chosen, options, seeds, kept)
    scores = functools.partial(_scores, detector=detector, action=action)
    by = [None if x is None else x.name for x in (detector, action)]
    pictures = _natural(
        rows, [plain, *others], walks, chosen, options, seeds[_PUBLISHED], scores, kept, by
    )
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


def in_shares(jobs: int, share: str = "") -> slice:
    """Which methods are left to this process, where several share them.

    With `jobs` above 1 and no `share` the command that this process was started by is run so often
    at once, each time with another --share and cores of its own: threads of one process mostly
    wait for each other here. What they find is in the cache of `evaluate` then, which is called
    for all methods in the end. The first one's progress is shown.

    Args:
      jobs: how many.
      share: "2/3" for the second of three; "" for all.

    Raises:
      InputError: there is no such share, or one failed: says its last words.
    """
    which, _, many = share.partition("/")
    if share and not (which.isdigit() and many.isdigit() and 1 <= int(which) <= int(many)):
        raise InputError(f"--share={share}: say 1/3, 2/3 or 3/3 for one of three")
    if share:
        return slice(int(which) - 1, None, int(many))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with contextlib.ExitStack() as stack:
        if jobs > 1:  # who is told to stop stops the others, too
            before = signal.signal(signal.SIGTERM, signal.default_int_handler)
            stack.callback(signal.signal, signal.SIGTERM, before)
        running = []
        for i in range(jobs if jobs > 1 else 0):
            log = stack.enter_context(tempfile.TemporaryFile("w+")) if i else None
            command = [sys.executable, *sys.argv, f"--share={i + 1}/{jobs}"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            stack.callback(process.terminate)
            if cores[i::jobs]:
                os.sched_setaffinity(process.pid, cores[i::jobs])
            running.append((process, log))
        for process, log in running:
            if process.wait():
                said = ""
                if log:
                    log.seek(0)
                    said = log.read().strip().split("\n")[-1].removeprefix("error: ")
                raise InputError(f"a process of --jobs={jobs} failed: {said or 'see above'}")
    return slice(None)


def _plain_first(methods: Sequence[Method]) -> list[Method]:
    others = [method for method in methods if method.kind != "unprotected"]
    names = [method.name for method in others]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"two methods are called {min(twice)}: rename a folder")
    return [unprotected(), *others]


class _Kept:
    """What was taken before, in files beside the recognisers."""

    def __init__(self, folder: str | os.PathLike, said: Sequence[Any]):
        """Takes what all figures depend on."""
        self._folder, self._said = Path(folder), list(said)

    def path(self, said: Sequence[Any], method: Method, what="figures", suffix=".json") -> Path:
        """The file that this is kept in."""
        named = [method.name, method.kind, method.codec, method.alpha, method.digest]
        name = hashlib.sha256(json.dumps([*self._said, *said, *named]).encode()).hexdigest()[:16]
        return self._folder / f"{what}-{name}{suffix}"

    def __call__(self, said: Sequence[Any], method: Method, compute: Callable[[], Any]) -> Any:
        """What `compute` gives, or gave for the same method and the same `said`."""
        if method.kind != "unprotected" and not method.digest:
            return compute()
        path = self.path(said, method)
        if path.is_file():
            return json.loads(path.read_text())
        figures = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as beside:
            beside.write_text(json.dumps(figures))
        return figures


def _recovered(
    rows, methods, walks: Walks, chosen, options: Options, seeds: list[int], kept: _Kept
) -> None:
    """Adds to each method's row how well its originals can be computed back."""

    def pairs(method: Method, mask, seed: int) -> recovery.Pairs:
        index = _spread(mask & (walks.condition == "nm"), options.recovery_walks)
        made = {i: seen[::_RECOVERY] for i, _, seen in walks.silhouettes(method, index, seed)}
        contours = [contour.to_unit(contour.encode(made[i])) for i in index.tolist()]
        own = walks.contours(index, "resampled")[:, ::_RECOVERY]
        return recovery.Pairs(own, np.stack(contours), walks.subject[index])

    views = sorted(set(walks.view.tolist()))
    for row, method in zip(rows, methods, strict=True):

        def figures(view: int, method: Method = method):
            return recovery.figures(
                pairs(method, chosen["training"] & (walks.view == view), seeds[_TRAINING]),
                pairs(method, chosen["probes"] & (walks.view == view), seeds[_PUBLISHED]),
            )

        by_view = {
            str(view): kept(
                ["recovery", options.recovery_walks, view], method, functools.partial(figures, view)
            )
            for view in tqdm(views, f"{method.name}: recovery", unit="view")
        }
        row["recovery"] = {"pixels": _mean(list(by_view.values())), "by_view": by_view}


def _natural(
    rows, methods, walks: Walks, chosen, options: Options, seed: int, scores, kept: _Kept, by
):
    """Adds each method's naturalness figures to its row; gives pictures."""
    pictures: dict[str, UInt8[np.ndarray, "H W"]] = {}
    by_view: dict[str, dict[str, list[dict[str, Any]]]] = {method.name: {} for method in methods}
    plain = methods[0]
    views = sorted(set(walks.view.tolist()))
    for view in tqdm(views, "naturalness", unit="view"):
        index = _spread(chosen["probes"] & (walks.view == view), options.natural_walks)
        others = _spread(chosen["training"] & (walks.view == view), _REFERENCE_WALKS)

        @functools.cache
        def beside(others=others, index=index):
            """Other people's silhouettes, and the walks as they were."""
            reference = np.concatenate(
                [gei.normalize(seen[::5]) for _, _, seen in walks.silhouettes(plain, others, 0)]
            )
            return reference, {i: seen for i, _, seen in walks.silhouettes(plain, index, 0)}

        def figures(method: Method, index=index, beside=beside):
            reference, original = beside()
            each: list[dict[str, Any]] = []
            for i, made, seen in walks.silhouettes(method, index, seed):
                told: dict[str, Any] = naturalness.walk_figures(
                    original[i], seen, made, method.codec, reference
                )
                if len(each) < _SCORED_WALKS:
                    told |= scores(seen)
                each.append({"subject": int(walks.subject[i]), **told})
            return each

        shown: list[UInt8[np.ndarray, "T 240 240"]] = []
        for method in methods:
            shown += [seen for _, _, seen in walks.silhouettes(method, index[:1], seed)]
            by_view[method.name][str(view)] = kept(
                ["naturalness", naturalness.VERSION, options.natural_walks, view, by], method,
                functools.partial(figures, method),
            )  # fmt: skip
        pictures[f"walk-{view:03d}"] = _sheet(shown)
        if len(shown) > 1:
            pictures[f"xor-{view:03d}"] = np.vstack(
                [naturalness.xor_row(shown[0], other) for other in shown[1:]]
            )
    for row in rows:
        each = by_view[row["name"]]
        own = {view: _mean([_measures(walk) for walk in seen]) for view, seen in each.items()}
        means = _mean(list(own.values()))
        row["naturalness"] = {
            "measures": means,
            "intervals": {name: _interval(name, each) for name in means},
            "by_view": own,
        }
    return pictures


def _measures(walk: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in walk.items() if name != "subject"}


def _interval(
    name: str, by_view: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[float, float] | None:
    """95 % interval over subjects of the mean over views of a figure; None of single walks."""
    off, subjects, means = [], [], []
    for walks in by_view.values():
        told = [(w[name], w["subject"]) for w in walks if w.get(name) is not None]
        values = np.array([value for value, _ in told if np.isfinite(value)])
        if len(values):
            means.append(values.mean())
            off += (values - values.mean()).tolist()
            subjects += [who for value, who in told if np.isfinite(value)]
    if len(off) == len(means):
        return None
    low, high = privacy.interval(np.array(off), np.array(subjects))
    return float(np.mean(means) + low), float(np.mean(means) + high)


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


def _mean(figures: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Means over what could be measured; None where nothing could."""
    out: dict[str, float | None] = {}
    for name in figures[0]:
        values = [f.get(name) for f in figures]
        measured = [value for value in values if value is not None and np.isfinite(value)]
        out[name] = float(np.mean(measured)) if measured else None
    return out


def _sheet(walks: Sequence[UInt8[np.ndarray, "T 240 240"]], columns: int = 10):
    """A row of silhouettes for each of the given walks."""
    rows = [walk[np.linspace(0, len(walk) - 1, columns).astype(int)] for walk in walks]
    return noise.grid(np.concatenate(rows), columns)
