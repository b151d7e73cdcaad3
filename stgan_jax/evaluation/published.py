"""What another program has published: trees of silhouettes, measured as a method is."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation.attackers import ATTACKS
from stgan_jax.evaluation.walks import FRAMES, Walks
from stgan_jax.methods.api import Anonymizer, Contours, Silhouettes
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError

ROLES = ("probes", "gallery", "training")


class Published(Anonymizer):
    """Walks that somebody else has anonymised, in the layouts that `casia_b` reads.

    One tree, 001/nm-01/090/..., holds every walk; or there is one for each role, probes/001/...,
    gallery/001/... and training/001/..., each anonymised with a key of its own: who anonymises
    everybody by one secret must not let the attacker have it. Of each walk the last 50 frames
    count, of each frame the largest part without holes.

    Attributes:
      missing: role -> how many of its walks are not there, "all" if none is.
      there: which of the dataset's walks the tree has; all walks of a role of which it has none
        count as there.
    """

    kind = "published"
    codec = "padded"  # which is exact

    missing: Mapping[str, int | str]
    there: Bool[np.ndarray, " N"]

    def __init__(self, name: str, tree: str, walks: Walks):
        """Finds the files, and reads none.

        Raises:
          InputError: there is no such folder, or it holds none of the probes.
        """
        from stgan_jax.data.datasets import casia_b  # TensorFlow: only where data are read

        self.name, self._read = name, casia_b.read_walk
        root = Path(tree)
        if not root.is_dir():
            raise InputError(f"--published={name}={tree}: no such folder")
        split = any((root / role).is_dir() for role in ROLES)
        every = {} if split else casia_b.walks(root)
        self._files: dict[Any, Any] = {}
        missing: dict[str, int | str] = {}
        self.there = np.ones(len(walks.names), bool)
        for role in ROLES:
            found = every
            if split:
                found = casia_b.walks(root / role) if (root / role).is_dir() else {}
            index = np.flatnonzero(walks.parts(0)[role].mask).tolist()
            lacking = [i for i in index if _key(walks.names[i]) not in found]
            keys = {_key(walks.names[i]) for i in index}
            self._files |= {key: files for key, files in found.items() if key in keys}
            if len(lacking) == len(index):
                missing[role] = "all"
            elif lacking:
                missing[role] = len(lacking)
                self.there[lacking] = False
        self.missing = missing
        if missing.get("probes") == "all":
            raise InputError(f"--published={name}={tree}: holds none of the dataset's probes")
        digest = hashlib.sha256()
        for key, files in sorted(self._files.items()):
            digest.update(repr([key, *(file.state() for file in files)]).encode())
        self.digest = digest.hexdigest()

    def attacks(self, names: Sequence[str]) -> list[str]:
        """Those attacks for which nothing is missing altogether."""
        gone = {role for role, count in self.missing.items() if count == "all"}
        needs = {name: zip(("training", "gallery"), ATTACKS[name], strict=True) for name in names}
        return [n for n in names if not any(known and role in gone for role, known in needs[n])]

    def contours(self, own: Contours, walks: Sequence[WalkName], seed: int) -> Contours:
        """See `Anonymizer.contours`: as they were published, whatever the seed."""
        out = []
        for walk in walks:
            masks = self._read(self._files[_key(walk)])[-FRAMES:]
            if len(masks) < FRAMES:
                raise InputError(
                    f"{self.name}: {walk.subject:03d}-{walk.name}-{walk.view:03d} has "
                    f"{len(masks)} frames with a person, and {FRAMES} are needed: delete it to do "
                    "without"
                )
            out.append(contour.encode(masks, self.codec))
        return np.stack(out)

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """Raises: nothing new can be anonymised."""
        raise InputError(f"{self.name}: is published already, and anonymises nothing new")


def _key(walk: WalkName) -> tuple[int, str, int, int]:
    return walk.subject, walk.condition, walk.repetition, walk.view


def from_flags(published: Sequence[str], walks: Walks) -> list[Published]:
    """Methods of a command line's NAME=TREE.

    Raises:
      InputError: another form, or see `Published`.
    """
    methods = []
    for text in published:
        name, _, tree = text.partition("=")
        if not (name and tree):
            raise InputError(f"--published={text}: write NAME=TREE")
        methods.append(Published(name, tree, walks))
    return methods


def common(walks: Walks, methods: Sequence[Anonymizer]) -> Walks:
    """The walks that all methods have, so that all are measured by the same ones."""
    there = np.ones(len(walks.names), bool)
    for method in methods:
        if isinstance(method, Published):
            there &= method.there
    return walks if there.all() else walks.only(there)
