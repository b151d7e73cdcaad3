"""Which clips each rater watches, in which order: balanced over methods and views."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from stgan_jax.util.errors import InputError

ANCHOR = "unprotected"  # name of the method whose clips are as they were recorded


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip of a study.

    Attributes:
      name: file name, which says nothing about what it shows.
      method: name of what is rated.
      view: degrees.
      source: name of the walk.
    """

    name: str
    method: str
    view: int
    source: str


Plan = list[tuple[Clip, bool]]  # clips in order, and whether each is a repeat
_Cells = dict[tuple[str, int], list[Clip]]  # clips by method and view


def plans(
    clips: Sequence[Clip],
    raters: int,
    per_rater: int | None = None,
    repeats: int | None = None,
    anchors: int | None = None,
    seed: int = 0,
) -> list[Plan]:
    """Draws every rater's clips.

    A rater watches as many clips of one method and view as of any other, or one more; over
    raters the surplus goes round, and so do the clips of a method and view. If methods have the
    same walks (in order of `source`) and there is no surplus, a rater watches the same walks by
    every method. The order is random. The first clips of each method come again in the second
    half, as repeats.

    Args:
      clips: all methods'; those of `ANCHOR` are anchors and come in addition.
      raters: number of raters.
      per_rater: clips per rater, without anchors and repeats; None for 60, as in ST-GAN 4.3, or as
        many as there are.
      repeats: clips shown twice; None for a tenth.
      anchors: unprotected clips per rater; None for one per view, 0 without an anchor.
      seed: for the draw.

    Raises:
      InputError: a method lacks a view, or more is asked for than there is.
    """
    cells = _shuffled_cells(clips, seed)
    methods = sorted({method for method, _ in cells} - {ANCHOR})
    views = sorted({view for method, view in cells if method != ANCHOR})
    anchor_cells = [(ANCHOR, view) for view in views if (ANCHOR, view) in cells]
    diagonal = _diagonal(methods, views)
    least = min(len(cells[cell]) for cell in diagonal)
    available = least * len(diagonal)
    per_rater = min(60, available) if per_rater is None else per_rater
    repeats = round(per_rater / 10) if repeats is None else repeats
    anchors = len(anchor_cells) if anchors is None else anchors
    if not 1 <= per_rater <= available:
        raise InputError(
            f"{per_rater} clips a rater: from 1 to {available} can be had of {len(methods)} "
            f"methods in {len(views)} views with {least} clips or more each"
        )
    if not 0 <= repeats <= per_rater // 3:
        raise InputError(f"{repeats} repeats: from 0 to {per_rater // 3}, a third of the clips")
    most = len(anchor_cells) * min((len(cells[cell]) for cell in anchor_cells), default=0)
    if not 0 <= anchors <= most:
        raise InputError(f"{anchors} anchors: from 0 to {most}, as {ANCHOR} clips are there")
    uses: collections.Counter = collections.Counter()

    def take(order: Sequence[tuple[str, int]], start: int, count: int) -> list[Clip]:
        taken = []
        for i in range(count):
            cell = order[(start + i) % len(order)]
            taken.append(cells[cell][uses[cell] % len(cells[cell])])
            uses[cell] += 1
        return taken

    out = []
    for rater in range(raters):
        rng = np.random.default_rng((seed, 360, rater))
        own = take(diagonal, rater * per_rater, per_rater)
        own += take(anchor_cells, rater * anchors, anchors)
        out.append(_with_repeats([own[i] for i in rng.permutation(len(own))], repeats, rng))
    return out


def _shuffled_cells(clips: Sequence[Clip], seed: int) -> _Cells:
    """Clips by method and view, in random order, the same for methods with the same walks."""
    cells: _Cells = collections.defaultdict(list)
    for clip in sorted(clips, key=lambda clip: clip.source):
        cells[clip.method, clip.view].append(clip)
    methods = sorted({method for method, _ in cells} - {ANCHOR})
    views = sorted({view for method, view in cells if method != ANCHOR})
    if not methods:
        raise InputError(f"there is no clip of a method to be rated, beside {ANCHOR!r}")
    for method in methods:
        for view in views:
            if (method, view) not in cells:
                raise InputError(f"{method}: has no clip seen from {view} degrees as others have")
    for (method, view), own in cells.items():
        order = np.random.default_rng((seed, view)).permutation(len(own))
        cells[method, view] = [own[i] for i in order]
    return cells


def _diagonal(methods: Sequence[str], views: Sequence[int]) -> list[tuple[str, int]]:
    """All pairs, on diagonals.

    Any stretch holds as many of one method as of another, or one more; and of views, at the turn
    into the next diagonal, two more at most.
    """
    turn = np.lcm(len(methods), len(views))
    return [
        (methods[i % len(methods)], views[(i + i // turn) % len(views)])
        for i in range(len(methods) * len(views))
    ]


def _with_repeats(order: Sequence[Clip], repeats: int, rng: np.random.Generator) -> Plan:
    """Puts repeats into the second half of the order, each after its first showing."""
    earlier: collections.Counter = collections.Counter()
    candidates = []
    for i, clip in enumerate(order):
        if clip.method != ANCHOR:
            candidates.append((earlier[clip.method], i))
            earlier[clip.method] += 1
    # The first clips of every method, so that there is time to forget them.
    again = [i for _, i in sorted(candidates)[:repeats]]
    half, end = len(order) // 2, len(order)
    placed = [(float(i), (clip, False)) for i, clip in enumerate(order)]
    placed += [(rng.uniform(max(half, i + 1), end), (order[i], True)) for i in again]
    return [showing for _, showing in sorted(placed, key=lambda item: item[0])]
