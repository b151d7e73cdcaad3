"""The lanes of a sweep: points of a grid of settings and seeds, and the folders of their runs."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stgan_jax.training.settings import RunSettings
from stgan_jax.util.errors import InputError

Grid = Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Lane:
    """One run of a sweep, in its own folder, as `alpha=0.1,seed=0`."""

    settings: RunSettings
    folder: Path
    values: tuple[tuple[str, float], ...]  # of the grid

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def diverged(self) -> Path:
        """A file that says when and in which figure the lane ceased to be finite, if it did."""
        return self.folder / "diverged.json"


def lanes_of(settings: RunSettings, grid: Grid, seeds: Sequence[int], workdir: Path) -> list[Lane]:
    """All lanes of a sweep, by seed and then in the grid's order.

    Raises:
      InputError: no numeric setting, a value that cannot be, or one that is named twice.
    """
    for name, choices in (*grid.items(), ("seeds", seeds)):
        if not choices or len(set(choices)) < len(choices):
            raise InputError(f"{name}: name at least one value, and each once")
    for name in grid:
        kind = type(getattr(settings, name, None))  # None: what is unset, or no setting
        if kind not in (int, float, type(None)) or name == "seed":
            raise InputError(f"{name}: is no number to sweep over (seeds have a list of their own)")
    settings = settings.completed().for_lanes(seeds[0])
    lanes = []
    for seed in seeds:
        for point in itertools.product(*grid.values()):
            values = tuple(zip(grid, point, strict=True))
            own = type(settings).from_dict({**settings.to_dict(), **dict(values), "seed": seed})
            name = ",".join([*(f"{key}={value:g}" for key, value in values), f"seed={seed}"])
            lanes.append(Lane(own, workdir / name, values))
    if len({lane.name for lane in lanes}) < len(lanes):
        raise InputError("values of the grid differ in their first six digits, or they are one")
    return lanes


def folders_of(workdir: Path) -> list[Path]:
    """The folders of a sweep's lanes, by their values and seeds; none if it is no sweep."""
    found = []
    for folder in workdir.glob("*seed=*"):
        pairs = [part.partition("=") for part in folder.name.split(",")]
        if all(re.fullmatch(r"[-+.\de]+", value) for _, _, value in pairs):
            found.append(([float(value) for _, _, value in pairs], folder))
    return [folder for _, folder in sorted(found)]


def groups_of(lanes: Iterable[Lane]) -> list[list[Lane]]:
    """Lanes that one compiled step can train: they differ in arguments of it and in seeds alone."""
    groups: dict[RunSettings, list[Lane]] = {}
    for lane in lanes:
        groups.setdefault(common(lane), []).append(lane)
    return list(groups.values())


def common(lane: Lane) -> RunSettings:
    """The settings that lanes of a group share; what they differ in has its default."""
    traced = {name for name, _ in lane.values} & set(lane.settings.TRACED)
    default: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(lane.settings)}
    return dataclasses.replace(lane.settings, **{name: default[name] for name in (*traced, "seed")})
