"""2x2 pixels <-> four times the channels."""

from jaxtyping import Array, Float


def folded(x: Float[Array, "B H W C"]) -> Float[Array, "B h w c"]:
    """Each 2x2 pixels as one, of four times the channels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).swapaxes(2, 3)
    return x.reshape(b, h // 2, w // 2, 4 * c)


def unfolded(x: Float[Array, "B h w c"]) -> Float[Array, "B H W C"]:
    """The inverse of `folded`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4).swapaxes(2, 3)
    return x.reshape(b, 2 * h, 2 * w, c // 4)
