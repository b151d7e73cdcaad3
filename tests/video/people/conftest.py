"""The networks' files, fetched once into the user's cache; tests that need them are skipped
where they cannot be had.
"""

import pytest

from stgan_jax.util.errors import InputError
from stgan_jax.video.people import models


@pytest.fixture(scope="session")
def networks_folder():
    try:
        return models.fetched()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def without_networks():
    """Networks are used here, unlike in the tests of the folder above."""
