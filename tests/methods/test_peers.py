"""Methods of the literature do to a walk what their descriptions say."""

import jax
import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.methods import peers
from stgan_jax.shapes import gei
from stgan_jax.util.errors import InputError


@pytest.fixture(scope="module")
def walk():
    return procedural.silhouettes(5, 90.0, frames=30)


@pytest.fixture
def few_donors(monkeypatch):
    monkeypatch.setattr(peers, "_DONORS", 2)
    monkeypatch.setattr(procedural, "VIEWS", (0, 90))
    peers._donors.cache_clear()
    yield
    peers._donors.cache_clear()


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_peer_keeps_length_and_empty_frames_and_hangs_on_the_key(name, walk, few_donors):
    gap = walk[:12].copy()
    gap[4] = 0
    (peer,) = peers.named([name])
    out = peer(gap, jax.random.key(1))
    assert (out.shape, out.dtype) == (gap.shape, np.uint8)
    assert set(np.unique(out)) == {0, 1}
    assert not out[4].any()
    assert out[[0, 11]].any((1, 2)).all()
    np.testing.assert_array_equal(out, peer(gap, jax.random.key(1)))
    assert not peer(np.zeros_like(gap), jax.random.key(1)).any()
    keyed = any((peer(gap, jax.random.key(n)) != out).any() for n in range(2, 8))
    assert keyed == (name in ("rhythm", "key_pose"))


def test_rhythm_changes_widths_and_tempo_and_keeps_the_height(walk):
    (peer,) = peers.named(["rhythm"])
    out = peer(walk, jax.random.key(0))
    for before, after in zip(walk, out, strict=True):
        rows = [np.flatnonzero(x.any(1)) for x in (before, after)]
        assert rows[1].min() >= rows[0].min() - 12
        assert rows[1].max() <= rows[0].max() + 12
    assert 0.03 < np.mean(out != walk) / np.mean(walk) < 1.5


def test_key_pose_shows_a_donor_s_own_frames_in_the_walk_s_pose(walk, few_donors):
    bank, _ = peers._donors()
    (peer,) = peers.named(["key_pose"])
    out = peer(walk, jax.random.key(3))
    donors = np.unpackbits(bank, axis=-1).reshape(-1, 240 * 240)
    for frame in out[::7]:
        assert (donors == frame.ravel()).all(1).any()
    own, drawn = gei.normalize(walk), gei.normalize(out)
    apart = (own != drawn).mean()
    shifted = np.mean([(own != np.roll(drawn, s, 0)).mean() for s in range(4, 10)])
    assert apart < 0.8 * shifted  # in step


def test_blur_rounds_off_what_is_thinner_than_it_and_pixelation_is_made_of_squares(walk):
    key = jax.random.key(0)
    names = "blur", "pixelation", "mean"
    blurred, squares, still = (peer(walk, key) for peer in peers.named(names))
    thin = np.zeros((1, 240, 240), np.uint8)
    thin[0, 20:220, 118:122] = 1
    assert not peers.blur(thin, key).any()
    assert 0.25 < blurred.sum() / walk.sum() < 0.8  # limbs go
    edges = np.flatnonzero((squares[:, :, 1:] != squares[:, :, :-1]).any((0, 1)))
    assert len(edges) <= 12
    assert (still == still[0]).all()
    np.testing.assert_array_equal(still[0], walk.mean(0) >= 0.5)


def test_unknown_peers_are_refused_and_all_are_all():
    assert [peer.name for peer in peers.named(["all"])] == list(peers.PEERS)
    with pytest.raises(InputError, match="choose from rhythm, key_pose"):
        peers.named(["magic"])
