"""What is said of parameters and results is checked, as `shape_checks` has it done."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, UInt8
from shape_checks import jaxtyped

from stgan_jax.data.selection import RenderedData
from stgan_jax.shapes import contour


@jaxtyped
def cut(image: UInt8[np.ndarray, "H W"], row: Float[np.ndarray, "W"]) -> UInt8[np.ndarray, "W"]:
    inner(image[:, 1:])  # has axes of its own
    return image[0, : int(row[0])]


@jaxtyped
def inner(image: UInt8[np.ndarray, "H W"]) -> float:
    return image.shape[0]  # an int may stand for a float


def test_axes_of_one_name_have_one_size_in_parameters_and_results():
    image = np.zeros((3, 5), np.uint8)
    assert len(cut(image, np.full(5, 5.0))) == 5
    with pytest.raises(BeartypeCallHintViolation, match="row"):
        cut(image, np.full(4, 5.0))
    with pytest.raises(BeartypeCallHintViolation, match="return"):
        cut(image, np.full(5, 4.0))


def test_functions_and_dataclasses_of_the_package_are_checked():
    with pytest.raises(BeartypeCallHintViolation):
        contour.outline(np.zeros((2, 3, 5), np.uint8))
    with pytest.raises(BeartypeCallHintViolation):
        RenderedData("some")
