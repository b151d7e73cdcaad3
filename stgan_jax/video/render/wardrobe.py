"""Collects everybody's clothes from a clip, before it is written."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from stgan_jax.media import containers, threads
from stgan_jax.media.segmentation import Region
from stgan_jax.methods.color import atlas
from stgan_jax.shapes.surface import Figure
from stgan_jax.video.blanks import is_fatal
from stgan_jax.video.people import bodies
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.people.sightings import CLEAR, Sighting
from stgan_jax.video.render import head

_MOST = 12  # frames of which a person's clothes are taken
_EVERY = 0.3  # seconds at least between two of them
_LIGHT = 1.0  # seconds over which the light that falls on somebody changes


@dataclasses.dataclass
class _Fitting:
    """A person whose clothes are being collected."""

    person: Person
    layout: atlas.Layout
    waiting: int
    samples: dict[int, atlas.Sample] = dataclasses.field(default_factory=dict)


class _Chosen(NamedTuple):
    """A sighting of which clothes are taken, with the body that fits it."""

    fitting: _Fitting
    sighting: Sighting
    figure: Figure
    stature: head.Stature


def collect(
    persons: Sequence[Person],
    frames: Iterator[containers.Stamped],
    fps: float,
    face: str,
) -> None:
    """Gives everybody with a body an `outfit`; who has none is coloured otherwise.

    Args:
      persons: everybody.
      frames: the clip's frames from the first on; read up to the last that is needed.
      fps: frames a second.
      face: what is done to the original's head, one of `head.HOW`.
    """
    wanted: dict[int, list[_Chosen]] = defaultdict(list)
    for person in persons:
        if person.bodies is None:
            continue
        try:
            for one in _chosen(person, fps):
                wanted[one.sighting.frame].append(one)
        except Exception as error:
            if is_fatal(error):
                raise

    def sampled(work):
        image, everybody = work
        return [(one, _sample(image, one, face)) for one in everybody]

    def works():
        last = max(wanted, default=-1)
        for number, frame in enumerate(frames):
            if number > last:
                break
            if number in wanted:
                yield frame.image, wanted.pop(number)

    for results in threads.mapped(sampled, works()):
        for (fitting, sighting, _, _), sample in results:
            fitting.waiting -= 1
            if sample is not None and sample.shown.any():
                fitting.samples[sighting.frame] = sample
            if not fitting.waiting and fitting.samples:
                _dress(fitting.person, _outfit(fitting, fps, face))
                fitting.samples.clear()


def _dress(person: Person, outfit: atlas.Outfit | None) -> None:
    """Gives somebody an outfit, and the new body a skirt if it is one that needs it."""
    person.outfit = outfit
    if outfit is not None and person.bodies is not None:
        person.bodies = person.bodies.in_skirt(outfit.atlas.hem())


def _chosen(person: Person, fps: float) -> list[_Chosen]:
    """The sightings of somebody that show most, spread over the time, with bodies that fit."""
    table = person.sightings.table()
    shown = np.array([reason is None for reason in person.hidden], bool) & (table[:, CLEAR] > 0)
    usable = np.flatnonzero(shown)
    if not len(usable):
        return []
    span = (table[usable[-1], 0] - table[usable[0], 0]) / fps
    count = int(np.clip(span / _EVERY + 1, 1, _MOST))
    picks = [part[table[part, 5].argmax()] for part in np.array_split(usable, count) if len(part)]
    assert person.bodies is not None
    sightings = [person.sightings[int(i)] for i in picks]
    shots = [bodies.Shot(s.mask, s.box[:2], s.joints) for s in sightings]
    figures = bodies.fitted([person.bodies.own(int(i)) for i in picks], shots)
    layout = atlas.Layout.of(max(figure.scale for figure in figures))
    fitting = _Fitting(person, layout, len(picks))
    statures = [head.stature(person.sightings, int(i)) for i in picks]
    found = zip(sightings, figures, statures, strict=True)
    return [_Chosen(fitting, *rest) for rest in found]


def _sample(image: np.ndarray, one: _Chosen, face: str) -> atlas.Sample | None:
    """What a frame shows of somebody's clothes; None if that cannot be said."""
    fitting, sighting, figure, stature = one
    try:
        low = np.maximum(np.minimum(sighting.box[:2], np.floor(figure.box()[:2]).astype(int)), 0)
        high = np.maximum(sighting.box[2:], np.ceil(figure.box()[2:]).astype(int))
        part = image[low[0] : high[0], low[1] : high[1]]
        own = Region(sighting.box - np.tile(low, 2), sighting.mask).on(part.shape[:2])
        above = None if face == "keep" or not own.any() else head.mask(own, stature)
        here = figure.moved(1.0, -low.astype(float))
        return atlas.sample(fitting.layout, here, part, own, above)
    except Exception as error:
        if is_fatal(error):
            raise
        return None


def _outfit(fitting: _Fitting, fps: float, face: str) -> atlas.Outfit | None:
    """The clothes by all samples; None if that fails, for colours can be had otherwise."""
    numbers = np.array(sorted(fitting.samples))
    try:
        found, gains = atlas.joined(fitting.layout, [fitting.samples[n] for n in numbers], face)
    except Exception as error:
        if is_fatal(error):
            raise
        return None
    apart = (numbers[:, None] - numbers) / (fps * _LIGHT)
    weights = np.exp(-0.5 * np.square(apart))
    slow = weights @ gains / weights.sum(1, keepdims=True)
    return atlas.Outfit(found, numbers.astype(np.float64), slow)
