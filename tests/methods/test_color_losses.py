"""The losses of colour transfer: regions, Gram matrices and their distances against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import bodies

from stgan_jax.methods.color import losses


def style_by_loops(colors, generated, center, edge, rows=8, columns=4, least=6):
    """L_Style by loops over images, patches and pixels (Eqs. 2-4)."""

    def gram(pixels):
        return sum(np.outer(p, p) for p in pixels) / len(pixels)

    size, total = colors.shape[1], 0.0
    for x, y, c, e in zip(
        *(a.astype(np.float64) for a in (colors, generated, center, edge)), strict=True
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
            total += np.abs(gram(near["c"]) - gram(cell["e"])).sum()
    return total / len(colors)


def test_patches_partition_the_image():
    for size in (16, 50, 128):
        masks = losses.patch_masks(size)
        assert masks.shape == (32, size, size)
        np.testing.assert_array_equal(masks.sum(0), np.ones((size, size)))
        assert masks.sum((1, 2)).min() > 0


def test_erosion_is_the_brute_force_one():
    rng = np.random.default_rng(0)
    mask = (rng.random((2, 20, 17)) < 0.9).astype(np.float32)
    got = losses.erode(jnp.asarray(mask), 2)
    for b, row, col in np.ndindex(mask.shape):
        inside = 2 <= row < 18 and 2 <= col < 15
        window = mask[b, max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
        assert got[b, row, col] == float(inside and window.all())


def test_center_and_edge_partition_the_anonymised_silhouette():
    own, new, *_ = bodies(np.random.default_rng(1))
    for known in (None, jnp.asarray(own)):
        center, edge = losses.regions(jnp.asarray(new), 3, known)
        np.testing.assert_array_equal(center + edge, new)
        np.testing.assert_array_equal(center * edge, 0)
        assert center.sum() > 200
        assert edge.sum() > 200
    assert not (np.asarray(center) * (1 - own)).any()


def test_style_loss_and_gram_matrices_equal_numpy():
    rng = np.random.default_rng(2)
    own, new, colors, generated = bodies(rng)
    masks = losses.patch_masks(64)
    for known, means in ((None, True), (jnp.asarray(own), True), (jnp.asarray(own), False)):
        center, edge = losses.regions(jnp.asarray(new), 2, known)
        got = losses.style(*map(jnp.asarray, (colors, generated)), center, edge, means)
        one = np.ones((*colors.shape[:-1], int(means)), np.float32)
        inputs = (np.concatenate([x, one], -1) for x in (colors, generated))
        expected = style_by_loops(*inputs, np.asarray(center), np.asarray(edge))
        assert expected > 1
        assert float(got) == pytest.approx(expected, rel=1e-5)
    grams, areas = losses.gram_matrices(jnp.asarray(colors), edge)
    sizes = np.einsum("bhw,lhw->bl", np.asarray(edge), masks)
    for b, patch in ((0, sizes[0].argmax()), (1, sizes[1].argsort()[-2])):
        at = (np.asarray(edge)[b] * masks[patch]) > 0
        pixels = colors[b][at].astype(np.float64)
        assert areas[b, patch] == len(pixels) > 5
        np.testing.assert_allclose(grams[b, patch], pixels.T @ pixels / len(pixels), rtol=1e-5)


def test_reconstruction_is_the_mean_over_the_region_s_pixels():
    _, new, colors, generated = bodies(np.random.default_rng(3))
    generated[0] = colors[0] + 0.1 * (generated[0] - colors[0])
    apart = np.abs(colors - generated)
    errors = np.where(apart < 0.05, apart**2 / 0.1, apart - 0.025).sum(-1)  # Huber's
    expected = np.mean([e[n > 0].mean() for e, n in zip(errors, new, strict=True)])
    got = losses.reconstruction(*map(jnp.asarray, (colors, generated, new)))
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("what", ["nobody", "no edge", "no center"])
def test_patches_without_area_give_finite_gradients(what):
    _, new, colors, generated = bodies(np.random.default_rng(4))
    center, edge = new, np.zeros_like(new)
    if what == "no center":
        center, edge = edge, center
    if what == "nobody":
        center = edge

    def cost(colors, generated):
        c, e = jnp.asarray(center), jnp.asarray(edge)
        kept = losses.reconstruction(colors, generated, c)
        return losses.style(colors, generated, c, e) + kept

    value, grads = jax.value_and_grad(cost, (0, 1))(jnp.asarray(colors), jnp.asarray(generated))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in grads)
