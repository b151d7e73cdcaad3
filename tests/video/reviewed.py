"""A clip in which one person was missed and a place of the scene was taken for one."""

import cv2
import numpy as np

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background
from stgan_jax.media.segmentation import enclosed
from stgan_jax.methods import catalog
from stgan_jax.video import search
from stgan_jax.video.backdrop import Backdrop
from stgan_jax.video.clip import ClipWork
from stgan_jax.video.people import outlining
from stgan_jax.video.people.shelf import Unions
from stgan_jax.video.people.sightings import Sightings, Subject
from stgan_jax.video.source import ClipOptions

SIZE = (240, 320)
FOUND, FALSE = 1, 2  # the numbers of the tracks
PLACE = np.array([4, 284, 46, 318])  # of the false one: top, left, bottom, right


def scene(frames=14, seed=4):
    return Scene(seed, people=2, frames=frames, size=SIZE)


def write(folder, frames):
    """A folder of the frames as pictures."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame.image[..., ::-1])
    return folder


def finder(scene, frames):
    """In place of `search.search`: finds person 1 alone, and somebody where nobody is."""

    def search_in(source, options, shelf, blanks):
        found, false, hidden = Sightings(shelf), Sightings(shelf), Unions(shelf, SIZE)
        wall = np.zeros(SIZE, np.uint8)
        wall[PLACE[0] : PLACE[2], PLACE[1] : PLACE[3]] = 1
        for number, frame in enumerate(frames):
            own = (frame.people == 1).astype(np.uint8)
            if own.any():
                found.add(number, enclosed(own))
            if number >= 4:
                false.add(number, enclosed(wall))
            hidden.add(outlining.grown(own, 4) | (wall if number >= 4 else 0))
        noise = np.full(SIZE, 24, np.uint8)
        empty = background.EmptyScene(scene.background, noise)
        times = [number / scene.fps for number in range(len(frames))]
        behind = Backdrop(empty, float(scene.fps), hidden=hidden)
        subjects = [Subject(found), Subject(false)]
        return search.Basis(source, subjects, behind, times, "networks", False)

    return search_in


def work_on(source, output, model=None, seed=1, **options):
    """The work on the clip, found."""
    options = ClipOptions(seed=seed, **options)
    work = ClipWork(source, output, model or catalog.load(), options, None)
    work.find()
    return work


def box_of(frame, person, margin=3):
    """[left, top, right, bottom] around somebody, or None."""
    mask = frame.people == person
    if not mask.any():
        return None
    top, left, bottom, right = enclosed(mask).box
    low = max(left - margin, 0), max(top - margin, 0)
    high = min(right + margin, SIZE[1]), min(bottom + margin, SIZE[0])
    return [int(side) for side in (*low, *high)]


def boxes_of(frames, person):
    """Key frames: a box in every frame in which somebody is."""
    boxes = [(number, box_of(frame, person)) for number, frame in enumerate(frames)]
    return [{"frame": number, "box": box} for number, box in boxes if box]
