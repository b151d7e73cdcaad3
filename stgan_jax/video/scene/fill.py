"""Fills hidden parts of a picture with shifted copies of its other parts."""

import itertools

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

_CELLS = 2500  # hidden squares of which each has one shift, about
_PEAKS = 80  # shifts that are offered
_BLOCK = 4  # half the side of the patches that are compared, in pixels
_SLOPE = 0.5  # weight of slopes beside colours
_MOST = 600_000  # hidden pixels; of more, blending would take gigabytes
# Costs of a cell, in grey levels summed over channels: of a shift as long as the longer side of
# the picture, of a neighbour to whose copy nothing is known, and of what is impossible.
_LONG, _UNKNOWN, _NEVER = 100.0, 300.0, 5e4

Image = UInt8[np.ndarray, "H W 3"]
Known = Bool[np.ndarray, "H W"]
Labels = Int[np.ndarray, "H W"]
Shifts = Int[np.ndarray, "K 2"]
Mask = UInt8[np.ndarray, "H W"]


def fill(image: Image, hidden: Mask, allowed: Mask | None = None) -> Image:
    """The picture with its hidden pixels replaced; the others keep their values.

    Each hidden pixel shows what lies at one of 80 shifts (rows, columns) from it: those by which
    patches of the picture most often resemble each other, which continues the lines and patterns
    of man-made scenes. A graph cut chooses for the least visible seams (He and Sun, "Statistics of
    patch offsets for image completion", ECCV 2012), and blending evens out the light (Perez et
    al., "Poisson image editing", SIGGRAPH 2003). Values of hidden pixels have no influence.

    Note: the cost of long shifts is not the paper's. Without, things come from far away.

    Args:
      image: RGB.
      hidden: nonzero where pixels are replaced; nothing is copied from there.
      allowed: nonzero where pixels may be copied if not hidden; None for everywhere.

    Returns:
      RGB. Where no shift leads to pixels that may be copied, smooth colours; black without any.
    """
    holes = hidden > 0
    known = ~holes if allowed is None else ~holes & (allowed > 0)
    source = np.where(known[..., None], image, np.uint8(0))
    out = image.copy()
    if holes.sum() > _MOST:
        size = (holes.shape[1] // 2, holes.shape[0] // 2)
        parts = (source, np.float32(holes), np.float32(known))
        half, gaps, share = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in parts)
        small = fill(half, (gaps > 0).astype(np.uint8), (share > 0.999).astype(np.uint8))
        out[holes] = cv2.resize(small, holes.shape[::-1])[holes]
    elif holes.any():
        shifts = _frequent(source, known)
        label = _labels(source, holes, known, shifts) if len(shifts) else np.full(holes.shape, -1)
        out[holes] = _blended(source, holes, known, label, shifts)
    return out


def _moved(rows, cols, shift: Int[np.ndarray, "*shape 2"], known: Known):
    """((rows, columns) that are `shift` away and clipped, whether they are known)."""
    rows, cols = rows + shift[..., 0], cols + shift[..., 1]
    at = np.clip(rows, 0, len(known) - 1), np.clip(cols, 0, known.shape[1] - 1)
    return at, (at[0] == rows) & (at[1] == cols) & known[at]


def _frequent(source: Image, known: Known) -> Shifts:
    """Shifts by which known patches often differ from the most similar one that is not near."""
    scale = max(1, round(max(known.shape) / 400))
    size = (max(1, known.shape[1] // scale), max(1, known.shape[0] // scale))
    small = cv2.resize(source, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    square = np.ones((2 * _BLOCK, 2 * _BLOCK))
    places = np.argwhere(cv2.erode(share, square, anchor=(0, 0), borderValue=0) > 0.999)
    if len(places) < 2:
        return np.zeros((0, 2), int)
    # A patch by the colours of its four blocks.
    blocks = cv2.blur(small, (_BLOCK, _BLOCK), anchor=(0, 0))
    corners = itertools.product((0, _BLOCK), repeat=2)
    patches = np.hstack([blocks[tuple((places + corner).T)] for corner in corners])
    queries = np.arange(0, len(places), max(1, len(places) // 6000))
    near = cKDTree(patches).query(patches[queries], min(16, len(places)), eps=1.0)[1]
    shifts = places[near] - places[queries, None]
    far = np.hypot(*np.moveaxis(shifts, -1, 0)) > max(6, max(size) / 15)
    nearest = shifts[np.arange(len(queries)), far.argmax(1)][far.any(1)]
    counts = np.zeros((2 * size[1], 2 * size[0]), np.float32)
    np.add.at(counts, tuple((nearest + size[::-1]).T), 1)
    counts = cv2.GaussianBlur(counts, (0, 0), 1.4)
    peaks = np.argwhere((counts == cv2.dilate(counts, np.ones((9, 9)))) & (counts > 0))
    best = np.argsort(-counts[tuple(peaks.T)], kind="stable")[:_PEAKS]
    return (peaks[best] - size[::-1]) * scale


def _means(source: Image, known: Known, side: int) -> tuple[Float[np.ndarray, "H W 5"], Known]:
    """Mean colours and their slopes in the square around each pixel; where it is all known."""
    values = np.dstack([source, known]).astype(np.float32)
    sums = cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    means = sums[..., :3] / np.maximum(sums[..., 3:], 1e-6)
    grey = means.mean(-1)
    slopes = [_SLOPE * cv2.Sobel(grey, -1, *axis) for axis in ((1, 0), (0, 1))]
    return np.dstack([means, *slopes]), sums[..., 3] > 0.999


def _labels(source: Image, holes: Known, known: Known, shifts: Shifts) -> Labels:
    """Number of each hidden pixel's shift, the same in a cell; -1 where none is possible."""
    side = int(np.ceil(np.sqrt(holes.sum() / _CELLS)))
    means, whole = _means(source, known, side)
    ys, xs = (np.minimum(np.arange(0, n, side) + side // 2, n - 1) for n in holes.shape)
    cells = cv2.dilate(holes.astype(np.uint8), np.ones((side, side)))[np.ix_(ys, xs)] > 0
    rows, cols = np.nonzero(cells)
    places, valid = _moved(ys[rows], xs[cols], shifts[:, None], whole)
    length = np.linalg.norm(shifts, axis=1)[:, None] / max(holes.shape)
    cost = np.where(valid, _LONG * length, _NEVER)
    for step in itertools.chain(*([(n, 0), (0, n)] for n in (-2, -1, 1, 2))):
        at, inside = _moved(rows, cols, np.array(step), ~cells)
        y, x = ys[at[0]], xs[at[1]]
        there, good = _moved(y, x, shifts[:, None], whole)
        seam = np.where(good, np.abs(means[there] - means[y, x]).sum(-1), _UNKNOWN)
        cost += 2 / np.abs(step).sum() * np.where(inside & whole[y, x], seam, 0.0)
    label = np.full(cells.shape, -1)
    label[cells] = np.arange(len(rows))
    across, down = cells[:, :-1] & cells[:, 1:], cells[:-1] & cells[1:]
    p = np.concatenate([label[:, :-1][across], label[:-1][down]])
    q = np.concatenate([label[:, 1:][across], label[1:][down]])
    best = _expanded(means[places], cost, np.stack([p, q]))
    label[cells] = np.where(valid[best, np.arange(len(rows))], best, -1)
    return label.repeat(side, 0).repeat(side, 1)[: len(holes), : holes.shape[1]]


def _expanded(colors: np.ndarray, cost: np.ndarray, pairs: Int[np.ndarray, "2 E"]) -> np.ndarray:
    """Labels (N,) of low cost (K, N) that differ little, in pairs, in `colors` (K, N, C).

    Alpha expansion (Boykov, Veksler and Zabih 2001): each label in turn is offered to all nodes.
    """
    nodes = np.arange(cost.shape[1])
    label = cost.argmin(0)
    for alpha in [*range(len(cost))] * 2:
        free = (cost[alpha] < _NEVER) & (label != alpha)
        p, q = ends = pairs[:, free[pairs].any(0)]
        new, one, two = (colors[of, ends] for of in (alpha, label[p], label[q]))
        stay, only_p, only_q = (np.abs(d).sum((0, -1)) for d in (one - two, new - two, one - new))
        gain = cost[alpha] - cost[label, nodes]
        gain += np.bincount(p, only_p - stay, len(nodes))
        gain += np.bincount(q, np.where(free[p], -only_p, only_q - stay), len(nodes))
        both = free[p] & free[q]
        edges = (np.cumsum(free) - 1)[ends[:, both]]
        label[nodes[free][_cut(gain[free], edges, (only_p + only_q - stay)[both])]] = alpha
    return label


def _cut(gain: np.ndarray, edges: Int[np.ndarray, "2 E"], weight: np.ndarray) -> np.ndarray:
    """The x (N,) that minimises sum gain x + sum weight (1 - x_p) x_q; weights (E,) above 0."""
    n, nodes = len(gain), np.arange(len(gain))
    start = np.concatenate([np.where(gain < 0, nodes, n), edges[0]]).astype(np.int32)
    end = np.concatenate([np.where(gain < 0, n + 1, nodes), edges[1]]).astype(np.int32)
    capacity = np.rint(4 * np.concatenate([np.abs(gain), np.maximum(weight, 0)])).astype(np.int32)
    graph = csr_array((capacity, (start, end)), shape=(n + 2, n + 2))
    rest = graph - maximum_flow(graph, n, n + 1).flow > 0
    x = np.ones(n + 2, bool)
    x[breadth_first_order(rest, n, return_predecessors=False)] = False
    return x[:n]


def _blended(source: Image, holes: Known, known: Known, labels: Labels, shifts: Shifts):
    """Colours (N, 3) of hidden pixels: the copies' slopes, and known pixels' values around them."""
    rows, cols = np.nonzero(holes)
    nodes = np.arange(len(rows))
    index = (np.cumsum(holes) - 1).reshape(holes.shape)
    shifts = np.vstack([shifts, [holes.shape]])  # the last one leads nowhere, for labels of -1
    label, colors = labels[holes], source.astype(np.float32)
    here, sure = _moved(rows, cols, shifts[label], known)
    # A hidden part without known neighbours has the light of its copies, or else the mean colour.
    mean = colors[known].mean(0) if known.any() else np.zeros(3)
    right = 1e-6 * np.where(sure[:, None], colors[here], mean).astype(float)
    diagonal = np.full(len(rows), 1e-6)
    entries = [(nodes, nodes)]
    for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        at, hole = _moved(rows, cols, np.array(step), holes)
        edge = _moved(rows, cols, np.array(step), known)[1]
        slopes, count = np.zeros((len(rows), 3)), np.zeros((len(rows), 1))
        for shift in (shifts[label], shifts[np.where(hole, labels[at], label)]):
            one, two = _moved(rows, cols, shift, known), _moved(at[0], at[1], shift, known)
            good = (one[1] & two[1])[:, None]
            slopes += np.where(good, colors[one[0]] - colors[two[0]], 0.0)
            count += good
        right += (hole | edge)[:, None] * slopes / np.maximum(count, 1)
        right += edge[:, None] * colors[at]
        diagonal += hole | edge
        entries.append((nodes[hole], index[at][hole]))
    at_row, at_col = np.concatenate(entries, axis=1)
    values = np.concatenate([diagonal, np.full(len(at_row) - len(nodes), -1.0)])
    matrix = csr_array((values, (at_row, at_col))).tocsc()
    solver = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.clip(np.rint(solver.solve(right)), 0, 255).astype(np.uint8)
