"""Colour transfer: regions, Gram matrices and losses against plain NumPy; what is learnt."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax import (
    color_examples,
    color_losses,
    coloring,
    contour,
    metrics,
    settings,
    steps,
    sweep,
)
from stgan_jax.anonymizer import anonymize_walks, load_model
from stgan_jax.data import color_walks, walkers
from stgan_jax.dcgan import SilhouetteAnonymizer
from stgan_jax.errors import InputError
from stgan_jax.evaluation import naturalness
from stgan_jax.models import color as models
from stgan_jax.recolor import Recolorer
from stgan_jax.train import train


def body(rng, size=64):
    """Two overlapping boxes in a frame, both silhouettes, and two pictures."""
    own, new = np.zeros((2, 2, size, size), np.float32)
    for i in range(2):
        top, left = rng.integers(2, 10), rng.integers(18, 26)
        own[i, top : top + 48, left : left + 14] = 1
        new[i, top - 2 : top + 50, left - 5 : left + 12] = 1
    pictures = rng.random((2, 2, size, size, 3), np.float32)
    return own, new, pictures[0], pictures[1]


def oracle(colors, made, center, edge, rows=8, columns=4, least=6):
    """L_Style by loops over images, patches and pixels (Eqs. 2-4)."""
    size, total = colors.shape[1], 0.0
    for x, y, c, e in zip(
        *(a.astype(np.float64) for a in (colors, made, center, edge)), strict=True
    ):
        patches = {}
        for row in range(size):
            for col in range(size):
                key = (row * rows // size, col * columns // size)
                cell = patches.setdefault(key, {"c": [], "e": [], "at": []})
                cell["at"].append((row, col))
                if c[row, col]:
                    cell["c"].append(x[row, col])
                if e[row, col]:
                    cell["e"].append(y[row, col])
        known = {k: p for k, p in patches.items() if len(p["c"]) >= least}
        for cell in patches.values():
            if not cell["e"] or not known:
                continue
            middle = np.mean(cell["at"], 0)
            near = min(known.values(), key=lambda p: np.linalg.norm(np.mean(p["at"], 0) - middle))
            gram = lambda pixels: sum(np.outer(p, p) for p in pixels) / len(pixels)  # noqa: E731
            total += np.abs(gram(near["c"]) - gram(cell["e"])).sum()
    return total / len(colors)


def test_masks_partition_the_image():
    for size in (16, 50, 128):
        masks = color_losses.patch_masks(size)
        assert masks.shape == (32, size, size)
        np.testing.assert_array_equal(masks.sum(0), np.ones((size, size)))
        assert masks.sum((1, 2)).min() > 0


def test_erosion_is_the_brute_force_one():
    rng = np.random.default_rng(0)
    mask = (rng.random((2, 20, 17)) < 0.9).astype(np.float32)
    got = color_losses.erode(jnp.asarray(mask), 2)
    for b, row, col in np.ndindex(mask.shape):
        inside = 2 <= row < 18 and 2 <= col < 15
        window = mask[b, max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
        assert got[b, row, col] == float(inside and window.all())


def test_center_and_edge_partition_the_anonymised_silhouette():
    own, new, *_ = body(np.random.default_rng(1))
    for given in (None, jnp.asarray(own)):
        center, edge = color_losses.regions(jnp.asarray(new), 3, given)
        np.testing.assert_array_equal(center + edge, new)
        np.testing.assert_array_equal(center * edge, 0)
        assert center.sum() > 200
        assert edge.sum() > 200
    assert not (np.asarray(center) * (1 - own)).any()


def test_style_loss_and_gram_matrices_equal_numpy():
    rng = np.random.default_rng(2)
    own, new, colors, made = body(rng)
    masks = color_losses.patch_masks(64)
    for given, means in ((None, True), (jnp.asarray(own), True), (jnp.asarray(own), False)):
        center, edge = color_losses.regions(jnp.asarray(new), 2, given)
        got = color_losses.style(*map(jnp.asarray, (colors, made)), center, edge, means)
        one = np.ones((*colors.shape[:-1], int(means)), np.float32)
        seen = (np.concatenate([x, one], -1) for x in (colors, made))
        expected = oracle(*seen, np.asarray(center), np.asarray(edge))
        assert expected > 1
        assert float(got) == pytest.approx(expected, rel=1e-5)
    grams, areas = color_losses.gram_matrices(jnp.asarray(colors), edge)
    sizes = np.einsum("bhw,lhw->bl", np.asarray(edge), masks)
    for b, patch in ((0, sizes[0].argmax()), (1, sizes[1].argsort()[-2])):
        at = (np.asarray(edge)[b] * masks[patch]) > 0
        pixels = colors[b][at].astype(np.float64)
        assert areas[b, patch] == len(pixels) > 5
        np.testing.assert_allclose(grams[b, patch], pixels.T @ pixels / len(pixels), rtol=1e-5)


def test_reconstruction_is_the_mean_over_the_region_s_pixels():
    _, new, colors, made = body(np.random.default_rng(3))
    huber = lambda e: np.where(e < 0.05, e**2 / 0.1, e - 0.025)  # noqa: E731
    made[0] = colors[0] + 0.1 * (made[0] - colors[0])
    errors = huber(np.abs(colors - made)).sum(-1)
    expected = np.mean([e[n > 0].mean() for e, n in zip(errors, new, strict=True)])
    got = color_losses.reconstruction(*map(jnp.asarray, (colors, made, new)))
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("what", ["nobody", "no edge", "no center"])
def test_patches_without_area_give_finite_gradients(what):
    _, new, colors, made = body(np.random.default_rng(4))
    center, edge = new, np.zeros_like(new)
    if what == "no center":
        center, edge = edge, center
    if what == "nobody":
        center = edge

    def cost(colors, made):
        c, e = jnp.asarray(center), jnp.asarray(edge)
        kept = color_losses.reconstruction(colors, made, c)
        return color_losses.style(colors, made, c, e) + kept

    value, grads = jax.value_and_grad(cost, (0, 1))(jnp.asarray(colors), jnp.asarray(made))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in grads)


def test_slices_of_a_batch_give_the_gradients_of_the_whole_in_less_memory():
    pictures = [jnp.asarray(np.concatenate([x] * 4)) for x in body(np.random.default_rng(5))]
    own, new, colors, pseudo = (x + 0.01 * jnp.arange(8.0).reshape(8, *[1] * (x.ndim - 1))
                                if x.ndim == 4 else x for x in pictures)  # fmt: skip
    net, loss = models.ColorNet(widths=(8,)), coloring.ColorLoss("pseudo")
    params = jax.jit(net.init)(jax.random.key(0), colors[:1], new[:1])
    cost = lambda p, *batch: coloring.color_cost(net, loss, p, 0.2, *batch)  # noqa: E731
    got, memory = {}, {}
    for slices in (1, 4):
        options = steps.Options(accumulate=slices)
        compiled = jax.jit(lambda *a, o=options: o.gradients(cost, *a, unrolled=True)).lower(
            params, colors, pseudo, new, own).compile()  # fmt: skip
        got[slices] = compiled(params, colors, pseudo, new, own)
        memory[slices] = compiled.memory_analysis().temp_size_in_bytes
    for whole, sliced in zip(*map(jax.tree.leaves, got.values()), strict=True):
        np.testing.assert_allclose(whole, sliced, rtol=1e-3, atol=1e-5)
    assert memory[4] < 0.7 * memory[1]  # two slices of four at a time


def test_folding_is_undone_and_keeps_neighbours_together():
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    y = models.folded(x)
    np.testing.assert_array_equal(models.unfolded(y), x)
    np.testing.assert_array_equal(y[1, 1, 2], x[1, 2:4, 4:6].ravel())


@pytest.mark.parametrize("form", models.FORMS)
def test_output_has_the_shape_of_the_anonymised_silhouette(form):
    _, new, colors, _ = map(jnp.asarray, body(np.random.default_rng(5)))
    net = models.ColorNet(form, (8, 12))
    params = net.init(jax.random.key(0), colors, new)
    made, kept = net.apply(params, colors, new)
    shown = models.blended(colors, new, made, kept)
    assert shown.shape == colors.shape
    np.testing.assert_array_equal(np.asarray(shown)[new == 0], 0)
    assert (np.asarray(shown)[new > 0] > 0).all()
    assert bool(kept.any()) == (form == "transfer")


def tiny(walks=2, size=32):
    """Examples of rendered walks, of which the next person's silhouette stands for x_bi."""
    rows = []
    for seed in range(51, 51 + walks):
        walk = color_walks.render(seed, 90, "nm", 2, True, True, frames=8)
        other = color_walks.render(seed, 90, "nm", 2, True, True, frames=8, body_of=seed + 1)
        places = color_examples.squares(walk.silhouettes)
        cut = [contour.crop_mask(m, p) for m, p in zip(other.masks, places, strict=True)]
        crop = color_examples.crops(walk, np.stack(cut), places, np.arange(8), size)
        masks = np.stack([crop.anonymized, crop.own], -1) * np.uint8(255)
        rows.append(np.concatenate([crop.colors, color_examples.nearest(crop), masks], -1))
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Folder of a sweep of small colour networks over alpha, ended."""
    folder = tmp_path_factory.mktemp("color")
    config = settings.ColorSettings(
        validation_subjects=(), widths=(8, 16), steps=60, batch_size=8, alpha=0.1, radius=1,
        learning_rate=1e-2, log_every=10, save_every=60,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(color_examples, "examples", lambda data, seed=0: tiny())
        assert sweep.sweep(config, [0.0, 0.1], [0], folder)
    return folder


def test_colour_is_learnt_and_alpha_weighs_the_style(swept):
    """Before and after training, asked of the same examples."""
    config = Recolorer.load(swept / "alpha=0.1,seed=0").settings
    net, loss = config.net(), config.loss()
    shown = coloring.varied(jax.random.key(0), jnp.asarray(tiny()), 0.0, steps.Options())
    untrained = jax.jit(net.init)(jax.random.key(0), *shown[:1], shown[2])
    nets = {"untrained": untrained} | {
        alpha: Recolorer.load(swept / f"alpha={alpha},seed=0").params for alpha in ("0", "0.1")
    }
    told = {
        name: coloring.color_cost(net, loss, params, 0.1, *shown)[1]
        for name, params in nets.items()
    }
    first, plain, last = told.values()
    assert last["loss/gen_rec"] < 0.5 * first["loss/gen_rec"]
    assert last["loss/gen_style"] < 0.8 * first["loss/gen_style"]
    assert last["loss/gen_style"] < 0.9 * plain["loss/gen_style"]


@pytest.fixture
def scene():
    """A person, her silhouettes before and after, and somebody else beside her."""
    walk = color_walks.render(60, 90, "nm", 2, True, True, frames=2)
    own = walk.silhouettes[1]
    new = np.roll(own, 4, 1)
    return walk.frames[1], walk.background, own, new, color_examples.squares(walk.silhouettes)[1]


def test_transfer_shows_neither_what_is_beside_nor_a_head_that_was_missed(swept, scene):
    frame, background, own, new, square = scene
    model = Recolorer.load(swept / "alpha=0.1,seed=0")
    outs = []
    rows = np.flatnonzero(own.any(1))
    for change in (0, 1):
        shown, seen = frame.copy(), own.copy()
        seen[: rows[0] + 12] = 0  # half of the head is not segmented
        if change:
            far = cv2.dilate(seen, np.ones((41, 41), np.uint8)) == 0
            shown[far] = 255 - shown[far]  # other people
            shown[: rows[0] + 12] = 255 - shown[: rows[0] + 12]
        canvas = background.copy()
        model.paint(canvas, shown, seen, new, square)
        outs.append(canvas)
    np.testing.assert_array_equal(outs[0], outs[1])
    away = cv2.dilate(new, np.ones((3, 3), np.uint8)) == 0
    np.testing.assert_array_equal(outs[0][away], background[away])
    assert (np.abs(outs[0].astype(int) - background).max(-1) > 20)[new > 0].mean() > 0.5


def test_transfer_keeps_texture_at_full_resolution(swept, scene):
    """Where all is kept the frame's own pixels are shown, whatever the network's resolution is."""
    frame, background, own, new, square = scene
    model = Recolorer.load(swept / "alpha=0.1,seed=0")
    model._run = lambda params, colors, mask: (colors / 255.0, np.ones(mask.shape, np.float32))
    large = lambda image: cv2.resize(image, None, fx=3, fy=3, interpolation=0)  # noqa: E731
    canvas = large(background)
    model.paint(canvas, large(frame), large(own), large(new), square * 3)
    inside = cv2.erode(large(own & new), np.ones((5, 5), np.uint8)) > 0
    assert inside.sum() > 1000
    np.testing.assert_array_equal(canvas[inside], large(frame)[inside])


def test_other_kinds_are_refused_in_a_sentence(swept):
    with pytest.raises(InputError, match="'color' model"):
        SilhouetteAnonymizer.load(swept / "alpha=0.1,seed=0")
    with pytest.raises(InputError, match="holds a 'retarget' model"):
        Recolorer.load("retarget")


# --- the silhouette anonymiser ---------------------------------------------------------------

SILHOUETTE = settings.SilhouetteSettings(
    data=settings.PairData(4, 2, 4), widths=(4, 8, 8, 8), steps=20, batch_size=2, temporal=True,
    log_every=10, save_every=20, evaluate_every=20,
)  # fmt: skip


def test_examples_are_packed_and_unpacked():
    rng = np.random.default_rng(0)
    own, wanted = rng.integers(-127, 128, (2, 3, 80, 80), dtype=np.int8)
    person = rng.normal(size=43).clip(-4, 4)
    row = coloring.packed(own, wanted, person)
    a, b, c = coloring.unpacked(jnp.asarray(row)[None])
    np.testing.assert_allclose(a[0] * 127, own, atol=1e-3)
    np.testing.assert_allclose(b[0] * 127, wanted, atol=1e-3)
    np.testing.assert_allclose(c[0], person, atol=0.02)


def test_shipped_silhouette_anonymiser_mends_what_is_broken_and_draws_somebody_else():
    walk = walkers.silhouettes(90, 90.0, frames=6)
    rows = np.flatnonzero(walk[0].any(1))
    walk[:, rows[0] + 90 : rows[0] + 105] = 0  # cut in two at the hip
    assert not naturalness.one_piece(walk).any()
    model = load_model("silhouette")
    one, other = (model(walk, jax.random.key(i)) for i in (0, 1))
    assert naturalness.one_piece(one).all()
    assert np.mean(one != other) > 0.01
    fields = model.drawn(walk, jax.random.key(0)) > 0  # before the largest part is taken
    assert all(cv2.connectedComponents(f.astype(np.uint8))[0] == 2 for f in fields)


def test_silhouette_training_runs_with_both_discriminators(tmp_path):
    assert train(SILHOUETTE, tmp_path)
    lines = metrics.read(tmp_path / "metrics.jsonl")
    assert lines[-1]["loss/gen_field"] < lines[0]["loss/gen_field"]
    assert {"loss/spatial_disc", "loss/temporal_disc"} <= lines[-1].keys()
    model = load_model(tmp_path)
    walk = walkers.silhouettes(3, 54.0, frames=3)
    walk[1] = 0
    made = anonymize_walks(model, [walk, walk], [jax.random.key(0), jax.random.key(0)])
    np.testing.assert_array_equal(made[0], made[1])
    assert not made[0][1].any()
