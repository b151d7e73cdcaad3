"""The losses of colour transfer (Colour 2020, Eqs. 1-4): regions, patches, Gram matrices.

The colours of the centre are to be kept (L_Rec), those of the edge are to be like those of the
nearest patch of the centre (L_Style). A region is a float mask in [0, 1], (B, H, W).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stgan_jax.training.gradients import Metrics

ROWS, COLUMNS = 8, 4  # the 32 masks
_SMALL = 0.05  # of a channel's range
_LEAST = 6.0  # pixels of a centre patch that others may look to


@dataclasses.dataclass(frozen=True)
class ColorLoss:
    """Which loss a colour network is trained on, and with which `jitter` of its examples.

    See `settings.ColorSettings`.
    """

    target: str = "style"
    radius: int = 2
    center: str = "overlap"
    means: bool = True
    jitter: float = 0.0


@functools.cache
def patch_masks(size: int) -> Float[np.ndarray, "32 S S"]:
    """The masks m_l: a grid that cuts an image into patches; each pixel is in exactly one.

    Note: Colour 2020 shows 32 masks and does not say how they are cut; bodies are tall, so these
    are 8 rows of 4.
    """
    row, column = (np.arange(size) * count // size for count in (ROWS, COLUMNS))
    cell = row[:, None] * COLUMNS + column
    return (cell == np.arange(ROWS * COLUMNS)[:, None, None]).astype(np.float32)


def erode(silhouette: Float[Array, "B H W"], radius: int) -> Float[Array, "B H W"]:
    """Mp(x_bi), the morphological operator: an erosion by a square of 2 radius + 1 pixels.

    Fixed: its argument is an input of the network, so that no gradient need pass, though one does
    where the minimum is unique. Beyond the image all is outside.
    """
    if not radius:
        return silhouette
    rows, columns = silhouette.shape[1:]
    x = jnp.pad(silhouette, ((0, 0), (radius, radius), (radius, radius)))
    shifts = range(2 * radius + 1)
    x = functools.reduce(jnp.minimum, [x[:, i : i + rows] for i in shifts])
    return functools.reduce(jnp.minimum, [x[:, :, i : i + columns] for i in shifts])


def regions(
    anonymized: Float[Array, "B H W"], radius: int, own: Float[Array, "B H W"] | None = None
) -> tuple[Float[Array, "B H W"], Float[Array, "B H W"]]:
    """Centre Mp(x_bi) and edge x_bi - Mp(x_bi) of anonymised silhouettes.

    Args:
      anonymized: x_bi.
      radius: pixels of the operator.
      own: the original silhouettes. Note: the slides call the centre the overlap of x_bi with the
        original gait, which an erosion of x_bi meets where both bodies are nearly one. With these
        it is the overlap itself, eroded; they are known in training only.
    """
    inner = anonymized if own is None else anonymized * own
    center = erode(inner, radius)
    return center, anonymized - center


def gram_matrices(
    colors: Float[Array, "B H W C"], region: Float[Array, "B H W"]
) -> tuple[Float[Array, "B L C C"], Float[Array, "B L"]]:
    """Gr(region * colors * m_l) / area of each patch, and the areas M_l or N_l (Eqs. 2-4).

    A patch without area has a Gram matrix of zeros, and a gradient of zeros. All patches at once:
    a product of two channels' planes is summed within the cells of the grid, and never kept.

    Args:
      colors: H a multiple of 8, W of 4.
      region: in [0, 1].
    """

    def cells(x):
        return x.reshape(len(x), ROWS, -1, COLUMNS, x.shape[2] // COLUMNS)

    def sums(x):
        return jnp.sum(x, (2, 4)).reshape(len(x), -1)

    there = cells(region)
    areas = sums(there)
    planes = [cells(x) * there for x in channels(colors)]
    either = {
        (i, j): sums(a * b) for i, a in enumerate(planes) for j, b in enumerate(planes) if i <= j
    }
    index = range(len(planes))
    grams = jnp.stack([either[min(i, j), max(i, j)] for i in index for j in index], -1)
    grams = grams.reshape(*areas.shape, len(planes), len(planes))
    return grams / jnp.maximum(areas, 1.0)[..., None, None], areas


@jax.custom_vjp
def channels(x: Float[Array, "*batch C"]) -> list[Float[Array, "*batch"]]:
    """The channels apart; the gradient is put together at once, not padded and added for each."""
    return [x[..., i] for i in range(x.shape[-1])]


channels.defvjp(lambda x: (channels(x), None), lambda _, grads: (jnp.stack(grads, -1),))


def nearest_patches(
    areas: Float[Array, "B L"], masks: Float[np.ndarray, "L H W"]
) -> Float[Array, "B L L"]:
    """For each patch the nearest one that has a centre, one-hot; its own where it has one.

    Patches are as far apart as the middles of their masks. Zeros where no patch has a centre.
    """
    count, height, width = masks.shape
    place = np.indices((height, width)).reshape(2, -1)
    weights = masks.reshape(count, -1)
    middles = weights @ place.T / weights.sum(1, keepdims=True)
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1).astype(np.float32)
    there = areas >= _LEAST
    cost = jnp.where(there[:, None], apart[None], jnp.inf)
    chosen = jax.nn.one_hot(jnp.argmin(cost, -1), count)
    return chosen * jnp.any(there, -1)[:, None, None]


def style(
    colors: Float[Array, "B H W C"],
    generated: Float[Array, "B H W C"],
    center: Float[Array, "B H W"],
    edge: Float[Array, "B H W"],
    means: bool = True,
) -> Float[Array, ""]:
    """L_Style (Eq. 2): sum over patches of || Gram of the centre's - Gram of the edge's ||_1.

    The mean over the batch. Note: printed, both patches of a term are cut by one mask; where that
    has no centre the nearest patch that has one stands in, as the slides' text wants it.

    Args:
      colors: x_rgb, whose centre patches are looked to.
      generated: Phi(x_bi, x_rgb), whose edge patches are to be alike. (Eq. 2 prints its arguments
        as x_bi, x_bi.)
      center: Mp(x_bi).
      edge: x_bi - Mp(x_bi).
      means: Note: colours count with a fourth channel of ones, so that Gram matrices hold the mean
        colour, too. By the products alone, as printed, light and dark dots make up a plain cloth.
    """
    if means:
        one = jnp.ones((*colors.shape[:-1], 1))
        colors, generated = (jnp.concatenate([x, one], -1) for x in (colors, generated))
    grid = patch_masks(colors.shape[1])
    wanted, areas = gram_matrices(colors, center)
    grams, sizes = gram_matrices(generated, edge)
    nearest = nearest_patches(areas, grid)
    aim = jnp.einsum("blk,bkcd->blcd", nearest, wanted)
    counts = (sizes > 0.5) & (jnp.sum(nearest, -1) > 0.5)
    apart = jnp.sum(jnp.abs(aim - grams), (-2, -1))
    return jnp.mean(jnp.sum(jnp.where(counts, apart, 0.0), -1))


def reconstruction(
    colors: Float[Array, "B H W C"],
    generated: Float[Array, "B H W C"],
    region: Float[Array, "B H W"],
) -> Float[Array, ""]:
    """L_Rec: the error in a region, summed over channels; mean over pixels, then the batch.

    Note: the slides name it and do not print it. It is the absolute error, square below 0.05
    (Huber 1964), as a network that copies the centre would else be pushed to copy all the rest.
    The baseline's is this over all of x_bi, against a pseudo ground truth.
    """
    apart = jnp.abs(colors - generated)
    smooth = jnp.where(apart < _SMALL, jnp.square(apart) / (2 * _SMALL), apart - _SMALL / 2)
    error = jnp.sum(smooth, -1)
    return jnp.mean(jnp.sum(region * error, (1, 2)) / jnp.maximum(jnp.sum(region, (1, 2)), 1.0))


def objective(
    generated: Float[Array, "B H W 3"],
    colors: Float[Array, "B H W 3"],
    pseudo: Float[Array, "B H W 3"],
    anonymized: Float[Array, "B H W"],
    own: Float[Array, "B H W"],
    alpha: float | Float[Array, ""],
    loss: ColorLoss,
) -> tuple[Float[Array, ""], Metrics]:
    """L_Rec + alpha L_Style (Colour 2020, Eq. 1), or the distance to a pseudo ground truth.

    Args:
      generated: the network's output, in [0, 1].
      colors: x_rgb.
      pseudo: pseudo ground truth.
      anonymized: x_bi.
      own: original silhouettes.
      alpha: weight of L_Style.
      loss: which of the two it is, and its parts.

    Returns:
      the loss, and its terms.
    """
    if loss.target == "pseudo":
        total = reconstruction(pseudo, generated, anonymized)
        return total, {"loss/gen": total}
    known = own if loss.center == "overlap" else None
    center, edge = regions(anonymized, loss.radius, known)
    terms = {
        "rec": reconstruction(colors, generated, center),
        "style": style(colors, generated, center, edge, loss.means),
    }
    total = terms["rec"] + alpha * terms["style"]
    return total, {"loss/gen": total, **{f"loss/gen_{k}": v for k, v in terms.items()}}
