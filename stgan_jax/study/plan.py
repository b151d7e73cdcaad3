"""Which clips each rater sees, in which order: balanced over methods and views."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from stgan_jax.errors import InputError

ANCHOR = "unprotected"  # name of the method whose clips are as they were recorded


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip of a study: blind file name, method, view in degrees, where it comes from."""

    name: str
    method: str
    view: int
    source: str


def plans(
    clips: Sequence[Clip],
    raters: int,
    per_rater: int | None = None,
    repeats: int | None = None,
    anchors: int | None = None,
    seed: int = 0,
) -> list[list[tuple[Clip, bool]]]:
    """Draws every rater's clips.

    Of each method and view a rater sees as many clips as of any other, or one more; over raters
    the surplus goes round, and so do the clips of a method and view. Where methods have the
    same walks (in order of `source`) and there is no surplus, a rater sees the same walks by
    every method. The order is random. The first clips of each method come again in the second
    half, as repeats.

    Args:
      clips: of all methods; those of `ANCHOR` are anchors and come in addition.
      raters: how many.
      per_rater: clips a rater, without anchors and repeats; None for 60, as ST-GAN 4.3, or as
        many as there are.
      repeats: clips shown twice; None for a tenth.
      anchors: unprotected clips a rater; None for one a view, 0 without an anchor.
      seed: of the draw.

    Returns:
      of each rater the clips, and whether they are repeats.

    Raises:
      InputError: a method lacks a view, or more is asked for than there is.
    """
    cells: dict[tuple[str, int], list[Clip]] = collections.defaultdict(list)
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
    for view in views:  # by view, so that methods with the same walks keep in step
        for method in (*methods, ANCHOR):
            if (method, view) in cells:
                own = cells[method, view]
                order = np.random.default_rng((seed, view)).permutation(len(own))
                cells[method, view] = [own[i] for i in order]
    count = len(methods) * len(views)
    # On diagonals: any stretch holds as many of one method as of another, or one more, and of
    # views, where it turns into the next diagonal, two more at most.
    diagonal = [
        (methods[i % len(methods)], views[(i + i // np.lcm(len(methods), len(views))) % len(views)])
        for i in range(count)
    ]
    least = min(len(cells[cell]) for cell in diagonal)
    per_rater = min(60, least * count) if per_rater is None else per_rater
    repeats = round(per_rater / 10) if repeats is None else repeats
    unprotected = [view for view in views if (ANCHOR, view) in cells]
    anchors = len(unprotected) if anchors is None else anchors
    if not 1 <= per_rater <= least * count:
        raise InputError(
            f"{per_rater} clips a rater: from 1 to {least * count} can be had of {len(methods)} "
            f"methods in {len(views)} views with {least} clips or more each"
        )
    if not 0 <= repeats <= per_rater // 3:
        raise InputError(f"{repeats} repeats: from 0 to {per_rater // 3}, a third of the clips")
    most = len(unprotected) * min((len(cells[ANCHOR, v]) for v in unprotected), default=0)
    if not 0 <= anchors <= most:
        raise InputError(f"{anchors} anchors: from 0 to {most}, as {ANCHOR} clips are there")
    shown: collections.Counter = collections.Counter()

    def take(kind: Sequence[tuple[str, int]], start: int, total: int) -> list[Clip]:
        taken = []
        for i in range(total):
            cell = kind[(start + i) % len(kind)]
            taken.append(cells[cell][shown[cell] % len(cells[cell])])
            shown[cell] += 1
        return taken

    out = []
    reference = [(ANCHOR, view) for view in unprotected]
    for rater in range(raters):
        rng = np.random.default_rng((seed, 360, rater))
        drawn = take(diagonal, rater * per_rater, per_rater)
        extra = take(reference, rater * anchors, anchors)
        mixed = [*drawn, *extra]
        out.append(_with_repeats([mixed[i] for i in rng.permutation(len(mixed))], repeats, rng))
    return out


def _with_repeats(
    order: Sequence[Clip], repeats: int, rng: np.random.Generator
) -> list[tuple[Clip, bool]]:
    seen: collections.Counter = collections.Counter()
    candidates = []
    for i, clip in enumerate(order):
        if clip.method != ANCHOR:
            candidates.append((seen[clip.method], i))
            seen[clip.method] += 1
    # The first clips of every method, so that there is time to forget them.
    again = [i for _, i in sorted(candidates)[:repeats]]
    half, end = len(order) // 2, len(order)
    placed = [(float(i), (clip, False)) for i, clip in enumerate(order)]
    placed += [(rng.uniform(max(half, i + 1), end), (order[i], True)) for i in again]
    return [shown for _, shown in sorted(placed, key=lambda item: item[0])]
