"""Which of the 124 subjects play which role: disjoint by construction."""

from collections.abc import Mapping

import numpy as np

from stgan_jax.util.errors import InputError

SUBJECTS = 124

# Group sizes in order. Where the papers say which end a group comes from, the order is theirs.
_GROUPS: Mapping[str, Mapping[str, int]] = {
    # ST-GAN 4. Note: which subjects is not said; in order of their numbers.
    "stgan": {"recognizer": 50, "noise": 10, "train": 16, "validation": 8, "test": 40},
    # WIFS IV: the first 10 train the network, the last 24 the recogniser.
    "wifs": {"train": 10, "test": 90, "recognizer": 24},
    # OpenGait's protocol for CASIA-B.
    "opengait": {"train": 74, "test": 50},
}


def subjects(split: str, seed: int | None = None) -> dict[str, tuple[int, ...]]:
    """Subjects by role.

    Args:
      split: "stgan/test" gives one role's subjects alone, "stgan" all roles; "all" everybody.
      seed: shuffles who plays which role; None is the fixed, published order.

    Returns:
      role -> subject numbers from 1 to 124, ascending.

    Raises:
      InputError: no such split or role.
    """
    if split == "all":
        return {"all": tuple(range(1, SUBJECTS + 1))}
    protocol, _, role = split.partition("/")
    groups = _GROUPS.get(protocol)
    if groups is None:
        raise InputError(f"split {split!r}: no such protocol; there are {', '.join(_GROUPS)}, all")
    order = np.arange(1, SUBJECTS + 1)
    if seed is not None:
        order = np.random.default_rng([seed, 0x5B]).permutation(order)
    cuts = np.cumsum(list(groups.values()))
    roles = {
        name: tuple(sorted(map(int, group)))
        for name, group in zip(groups, np.split(order, cuts[:-1]), strict=True)
    }
    if not role:
        return roles
    if role not in roles:
        raise InputError(f"split {split!r}: no such role; there are {', '.join(roles)}")
    return {role: roles[role]}
