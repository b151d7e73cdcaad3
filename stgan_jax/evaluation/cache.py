"""Figures of earlier evaluations, in files, so that one that was stopped can go on."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stgan_jax.evaluation import gaits
from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.methods.api import Anonymizer
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.util import files


class Cache:
    """Files named by a hash of all that a result depends on.

    Attributes:
      folder: holds the files; trained recognisers are kept in it, too.
    """

    def __init__(self, folder: str | os.PathLike, common: Sequence[Any]):
        """Takes the plain values that every result depends on."""
        self.folder, self._common = Path(folder), list(common)

    def figures(self, key: Sequence[Any], method: Anonymizer, compute: Callable[[], Any]) -> Any:
        """Reads what `compute` returned earlier for this key and method, or calls it.

        Args:
          key: plain values that the result depends on, besides the method.
          method: whose figures these are. Without a digest nothing is kept.
          compute: returns plain values.
        """
        if not (method.digest or isinstance(method, Unprotected)):
            return compute()
        path = self._path("figures", key, method, ".json")
        if path.is_file():
            return json.loads(path.read_text())
        figures = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as beside:
            beside.write_text(json.dumps(figures))
        return figures

    def gaits(
        self, key: Sequence[Any], method: Anonymizer, compute: Callable[[], AlignedGaits]
    ) -> AlignedGaits:
        """`figures` for walks, see `gaits.stored`."""
        if not (method.digest or isinstance(method, Unprotected)):
            return compute()
        return gaits.stored(self._path("walks", key, method, ".npz"), compute)

    def _path(self, what: str, key: Sequence[Any], method: Anonymizer, suffix: str) -> Path:
        of_method = [method.name, method.kind, method.codec, method.alpha, method.digest]
        text = json.dumps([*self._common, *key, *of_method])
        return self.folder / f"{what}-{hashlib.sha256(text.encode()).hexdigest()[:16]}{suffix}"
