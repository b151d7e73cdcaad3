"""How well people of a scene are found, followed and hidden, from masks that are known.

Everything is counted a scene, so that counts of several scenes can be added; `figures` divides.
Tracking by CLEAR MOT (Bernardin and Stiefelhagen 2008), with outlines in place of boxes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

LEAST_HEIGHT = 60  # pixels of somebody who counts, and
LEAST_VISIBLE = 0.5  # the share of the body that is visible
SAME = 0.5  # least intersection over union of a match
STRANGER = 0.1  # a mask that shares less of its area with each person is nobody's
MARK = (255, 0, 255)  # colour of the new bodies, so that no pixel of them is an original one
UNLIKE, _EQUAL = 30, 4  # grey levels: from the empty scene at least, as the original at most
_CHANGED, _MARGIN = 12, 0.1  # grey levels after a 3x3 blur; of a person's height

Masks = Mapping[int, np.ndarray]  # of one track: frame -> H x W, 0 where it is not


class Tracking:
    """Counts of finding and following, updated frame by frame."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = defaultdict(float)
        self._last: dict[int, int] = {}  # person -> track of the last match
        self._lost: set[int] = set()  # who was matched before and is not now

    def update(
        self, people: np.ndarray, visible: Iterable[float], masks: Mapping[int, np.ndarray]
    ) -> None:
        """Takes the next frame.

        Args:
          people: H x W, 0 where nobody is, else 1 + index of the person.
          visible: share of each person's body that is visible.
          masks: track -> H x W, not 0 where it is.
        """
        truth = {n: people == n for n, share in enumerate(visible, 1) if share > 0}
        counted = {
            n
            for n, share in enumerate(visible, 1)
            if share >= LEAST_VISIBLE and _height(people == n) >= LEAST_HEIGHT
        }
        found = {track: mask > 0 for track, mask in masks.items() if mask.any()}
        shared = {(n, k): int((a & b).sum()) for n, a in truth.items() for k, b in found.items()}
        overlap = {
            (n, k): both / int(truth[n].sum() + found[k].sum() - both)
            for (n, k), both in shared.items()
        }
        self.counts["frames"] += 1
        self.counts["person-frames"] += len(counted)
        for k, mask in found.items():
            most = max((shared[n, k] for n in truth), default=0)
            self.counts["false people"] += most < STRANGER * int(mask.sum())
        matches = self._match(truth, found, overlap)
        for n in sorted(counted):
            if n not in matches:
                if n in self._last:
                    self._lost.add(n)
                continue
            k = matches[n]
            self.counts["found"] += 1
            self.counts["switches"] += self._last.get(n, k) != k
            self.counts["fragments"] += n in self._lost
            self._lost.discard(n)
            self._last[n] = k
            self.counts["outline"] += overlap[n, k]
            self.counts["feet"] += _low_overlap(truth[n], found[k])

    def _match(self, truth, found, overlap) -> dict[int, int]:
        """Person -> track: those of before as long as they fit, then the best for the rest."""
        kept = {n: k for n, k in self._last.items() if overlap.get((n, k), 0) >= SAME}
        matches: dict[int, int] = {}
        for n, k in kept.items():
            if k not in matches.values():
                matches[n] = k
        rest = [n for n in truth if n not in matches]
        free = [k for k in found if k not in matches.values()]
        gain = np.array([[overlap[n, k] for k in free] for n in rest]).reshape(len(rest), len(free))
        gain[gain < SAME] = 0
        for row, column in zip(*linear_sum_assignment(-gain), strict=True):
            if gain[row, column] > 0:
                matches[rest[row]] = free[column]
        return matches


def _height(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0


def _low_overlap(truth: np.ndarray, found: np.ndarray) -> float:
    """Intersection over union in the lowest fifth of somebody's height and all that is below."""
    rows = np.flatnonzero(truth.any(1))
    first = rows[-1] + 1 - max(1, round(0.2 * (rows[-1] + 1 - rows[0])))
    a, b = truth[first:], found[first:]
    return float((a & b).sum() / (a | b).sum())


def pixels(
    original: np.ndarray, output: np.ndarray, empty: np.ndarray, people: np.ndarray
) -> dict[str, int]:
    """Counts what a written frame shows of people, and what it changes elsewhere.

    Shown is a pixel of a person that is as in the original, though the empty scene is not; it is
    in a patch if a square of 3x3 pixels around it, or beside it, is shown, which excludes those
    that are the same by chance. How many these are says the same count with the colours of each
    person in another order, which the original does not have at their places. Changed is a pixel
    away from people that is neither as in the original nor as in the empty scene, so that a shadow
    may stay or go.

    Args:
      original: H x W x 3, as are the others: the frame of the clip.
      output: what was written for it.
      empty: the scene without people.
      people: H x W, 0 where nobody is, else 1 + index of the person.
    """
    inside = people > 0
    telling = inside & (distance(original, empty) > UNLIKE)
    shown = telling & (distance(original, output) <= _EQUAL)
    patch = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    near, others, rng = np.zeros_like(inside), original.copy(), np.random.default_rng(0)
    for n in np.unique(people[inside]):
        mask = people == n
        others[mask] = rng.permutation(others[mask])
        apart = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near |= apart <= _MARGIN * _height(mask)
    chance = (distance(others, empty) > UNLIKE) & (distance(others, output) <= _EQUAL)
    smooth = [cv2.blur(image, (3, 3)) for image in (original, output, empty)]
    away = np.minimum(distance(smooth[1], smooth[0]), distance(smooth[1], smooth[2]))
    changed = ~near & (away > _CHANGED)
    body = cv2.dilate((output == MARK).all(-1).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return {
        "people's pixels": int(telling.sum()),
        "shown": int(shown.sum()),
        "shown by chance": int((inside & chance).sum()),
        "shown in patches": int(patch.sum()),
        "outside": int((~near).sum()),
        "changed": int(changed.sum()),
        "changed by bodies": int((changed & body).sum()),
    }


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """By how many grey levels two pictures differ, in the channel in which it is most."""
    return cv2.absdiff(one, other).max(-1)


def figures(counts: Mapping[str, float]) -> dict[str, float | None]:
    """What the counts of one or several scenes come to; None where nothing was to be counted."""

    def per(what: str, of: str) -> float | None:
        return round(counts.get(what, 0) / counts[of], 6) if counts.get(of) else None

    written = "outside" in counts
    return {
        "recall": per("found", "person-frames"),
        "false people a frame": per("false people", "frames"),
        "outline IoU": per("outline", "found"),
        "feet IoU": per("feet", "found"),
        "switches": int(counts.get("switches", 0)),
        "fragments": int(counts.get("fragments", 0)),
        "shown": int(counts.get("shown", 0)) if written else None,
        "shown in patches": int(counts.get("shown in patches", 0)) if written else None,
        "share shown": per("shown", "people's pixels"),
        "share changed": per("changed", "outside"),
        "of it by bodies": per("changed by bodies", "outside"),
        "refused": int(counts.get("refused", 0)),
    }


def pooled(scenes: Mapping[str, Mapping[str, float | str]]) -> dict[str, dict[str, float | None]]:
    """Kind -> figures of all of its scenes, whose names are "KIND SEED"; and "all"."""
    sums: dict[str, Counter] = {}
    for name, counts in scenes.items():
        for kind in (name.rpartition(" ")[0], "all"):
            numbers = {key: n for key, n in counts.items() if not isinstance(n, str)}
            sums.setdefault(kind, Counter()).update(numbers)
    everything = sums.pop("all", Counter())
    return {kind: figures(counts) for kind, counts in [*sums.items(), ("all", everything)]}


def markdown(now: Mapping[str, Mapping], before: Mapping[str, Mapping] | None = None) -> str:
    """Figures by kind as a table; with those of before in the same cells, where they differ."""
    names = list(figures({}))
    lines = ["| scenes | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for kind, row in now.items():
        cells = []
        for name in names:
            new = _cell(row[name])
            old = _cell(before[kind][name]) if before and kind in before else new
            cells.append(new if old == new else f"{old} → {new}")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4f}"
