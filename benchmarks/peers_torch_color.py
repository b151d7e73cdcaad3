"""The colour network's training step in PyTorch: the same network, losses and update.

By PyTorch's own layers, and with what helps there: channels last, strided convolutions where ours
fold pixels into channels, one einsum over the masks, fused Adam.
"""

import itertools
import os
from typing import Any

# See peers_torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from stgan_jax.methods.color import losses
from stgan_jax.methods.color.examples import ColorBatch
from stgan_jax.methods.color.settings import ColorSettings


class ColorNet(nn.Module):
    """`methods.color.networks.ColorNet` in its form "transfer"."""

    def __init__(self, widths):
        """With PyTorch's own start; see `load`."""
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.first = nn.Conv2d(4, widths[0], 2, stride=2)
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.inner = nn.ModuleList(nn.Conv2d(b, b, 3, padding=1) for _, b in pairs)
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(pairs))
        self.outer = nn.ModuleList(nn.Conv2d(a, a, 3, padding=1) for a, _ in reversed(pairs[1:]))
        self.outer.append(nn.Conv2d(widths[0], widths[0], 1))
        self.last = nn.Conv2d(widths[0], 4, 1)

    def forward(self, colors, anonymized):
        both = torch.cat([2.0 * colors - 1.0, anonymized[:, None]], 1)
        x = _active(self.first(both))
        skips = []
        for narrow, inner in zip(self.narrow, self.inner, strict=True):
            skips.append(x)
            x = _active(inner(_active(narrow(x))))
        for widen, outer in zip(self.widen, self.outer, strict=True):
            x = _active(outer(_active(_grown(widen(_even(x))) + skips.pop())))
        x = _grown(self.last(_even(x))).sigmoid()
        drawn, kept = x[:, :3], x[:, 3:]
        return (drawn + kept * (colors - drawn)) * anonymized[:, None]

    def load(self, params: dict[str, Any]) -> None:
        """Takes our parameters over."""
        convs = (params[f"Conv_{i}"] for i in itertools.count())
        denses = (params[f"Dense_{i}"] for i in itertools.count())
        for narrow, inner in zip([self.first, *self.narrow], [None, *self.inner], strict=True):
            dense = next(denses)
            kernel = dense["kernel"].reshape(2, 2, narrow.in_channels, -1)
            _fill(narrow, kernel.transpose(3, 2, 0, 1), dense["bias"])
            if inner is not None:
                _fill_conv(inner, next(convs))
        for widen, outer in zip(self.widen, self.outer, strict=True):
            _fill_dense(widen, next(denses))
            if outer.kernel_size == (1, 1):
                _fill_dense(outer, next(denses))
            else:
                _fill_conv(outer, next(convs))
        _fill_dense(self.last, next(denses))


def _fill_conv(layer: nn.Module, weights: dict[str, np.ndarray]) -> None:
    _fill(layer, weights["kernel"].transpose(3, 2, 0, 1), weights["bias"])


def _fill_dense(layer: nn.Module, weights: dict[str, np.ndarray]) -> None:
    _fill(layer, weights["kernel"].T[..., None, None], weights["bias"])


def _fill(layer: nn.Module, kernel: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.array(kernel)))
        layer.bias.copy_(torch.tensor(np.array(bias)))


def _active(x):
    return functional.leaky_relu(x, 0.1, inplace=True)


def _even(x):
    """Features of mean square 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)


def _grown(x):
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Step:
    """The training step, as `timing.Step` is ours; it neither mirrors nor tints the batch."""

    def __init__(self, run: ColorSettings, params: Any, batch: ColorBatch, compile: bool = False):
        """Takes our parameters over."""
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.set_float32_matmul_precision("high")
        self._device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        self.net = ColorNet(run.widths)
        self.net.load(jax.device_get(params)["params"])
        self.net.to(self._device, memory_format=torch.channels_last)
        self._tx = torch.optim.Adam(self.net.parameters(), run.learning_rate, fused=True)
        self._run = run
        masks = losses.patch_masks(batch.own.shape[1])
        self._masks = torch.tensor(masks).to(self._device)
        place = np.indices(masks.shape[1:]).reshape(2, -1)
        middles = masks.reshape(len(masks), -1) @ place.T / masks.sum((1, 2))[:, None]
        apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1)
        self._apart = torch.tensor(apart, dtype=torch.float32).to(self._device)
        used = batch.colors, batch.anonymized, batch.own
        self._batch = [torch.tensor(x).to(self._device) for x in used]
        self._loss = torch.compile(self._terms) if compile else self._terms
        self.about: dict[str, Any] = {}
        self._losses: dict[str, torch.Tensor] = {}

    def __call__(self) -> None:
        """One step, to its end."""
        self._losses = self._loss(*self._batch)
        self._tx.zero_grad()
        self._losses["loss/gen"].backward()
        self._tx.step()
        if self._device == "cuda":
            torch.cuda.synchronize()

    def _terms(self, *batch):
        colors, new, own = (x.float().mul(1 / 255.0) for x in batch)
        colors = colors.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        generated = self.net(colors, new)
        size = 2 * self._run.radius + 1
        padded = functional.pad(new * own, (self._run.radius,) * 4)
        center = -functional.max_pool2d(-padded[:, None], size, 1)[:, 0]
        edge = new - center
        error = functional.huber_loss(generated, colors, reduction="none", delta=0.05).sum(1) / 0.05
        rec = ((center * error).sum((1, 2)) / center.sum((1, 2)).clamp(min=1.0)).mean()
        wanted, areas = self._grams(colors, center)
        drawn, sizes = self._grams(generated, edge)
        there = areas >= 6.0
        cost = torch.where(there[:, None], self._apart[None], torch.inf)
        aim = wanted.gather(1, cost.argmin(-1)[..., None, None].expand(-1, -1, 4, 4))
        counts = (sizes > 0.5) & there.any(-1, keepdim=True)
        apart = (aim - drawn).abs().sum((-2, -1))
        style = torch.where(counts, apart, 0.0).sum(-1).mean()
        total = rec + self._run.alpha * style
        return {"loss/gen": total, "loss/gen_rec": rec, "loss/gen_style": style}

    def _grams(self, colors, region):
        colors = torch.cat([colors, torch.ones_like(colors[:, :1])], 1)
        areas = torch.einsum("bhw,lhw->bl", region, self._masks)
        products = colors[:, :, None] * colors[:, None] * region.square()[:, None, None]
        sums = torch.einsum("bcdhw,lhw->blcd", products, self._masks)
        return sums / areas.clamp(min=1.0)[..., None, None], areas

    def losses(self) -> dict[str, float]:
        """The last call's loss terms, named as ours."""
        return {name: float(value.detach()) for name, value in self._losses.items()}
