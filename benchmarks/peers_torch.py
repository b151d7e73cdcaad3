"""ST-GAN's training step in PyTorch: the same networks, losses, updates and their order.

It has every fair advantage: contours are floats on its device, the noise encoder runs once a
sequence, G once for both updates, real and fake go through a discriminator together, Adam is fused,
and no metrics but the losses are computed.
"""

import os
from typing import Any

# Beside other work, OpenMP threads that spin while they wait made a step up to 20 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import jax
import numpy as np
import torch
from cases import Case
from torch import nn
from torch.nn import functional

from stgan_jax.methods.stgan.losses import StganLoss
from stgan_jax.shapes import contour


class Generator(nn.Module):
    """G: (B, T, D) and (B, D) -> (B, T, D). A sequence is an image of T lines."""

    def __init__(self, features: int, kernel: int):
        """With PyTorch's own start; see `_load`."""
        super().__init__()
        self.encoder = _conv(1, features, kernel)
        self.noise_encoder = _conv(1, features, kernel)
        self.decoder = _conv(features, 1, kernel)

    def forward(self, contours, noise):
        hidden = functional.relu(self.encoder(_image(2.0 * contours - 1.0)), inplace=True)
        other = self.noise_encoder(_image(2.0 * noise[:, None] - 1.0))
        mixed = hidden + functional.relu(other, inplace=True)
        return functional.relu(self.decoder(mixed), inplace=True)[:, 0]


class SpatialDiscriminator(nn.Module):
    """D_S: (B, T, D) -> logits (B, T)."""

    def __init__(self, features: int, kernel: int):
        """See `Generator`."""
        super().__init__()
        self.conv = _conv(1, features, kernel)
        self.dense = nn.Linear(contour.DIM * features, 1)

    def forward(self, contours):
        hidden = self.conv(_image(4.0 * contours - 2.0))
        hidden = functional.leaky_relu(hidden, 0.2, inplace=True)
        return self.dense(hidden.permute(0, 2, 3, 1).flatten(2))[..., 0]  # no copy, see `_image`


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, (1, kernel), padding=(0, kernel // 2))


def _image(x):
    """(B, T, D) -> (B, 1, T, D), channels last: a step takes 0.6 of a Conv1d's time that way."""
    return x[:, None].contiguous(memory_format=torch.channels_last)


class TemporalDiscriminator(nn.Module):
    """D_T: (B, T, D) -> logits (B,)."""

    def __init__(self, units: int, frames: int):
        """See `Generator`."""
        super().__init__()
        self.lstm = nn.LSTM(contour.DIM, units, batch_first=True)
        self.dense = nn.Linear(frames * units, 1)

    def forward(self, contours):
        outputs, _ = self.lstm(4.0 * contours - 2.0)
        return self.dense(outputs.flatten(1))[:, 0]


class Step:
    """The training step of a case, as `timing.Step` is ours."""

    def __init__(self, case: Case, compile: bool = False):
        """Takes the case's parameters over; `compile` puts all but the LSTM under torch.compile."""
        run, self._alpha = case.run, case.run.alpha
        loss = run.loss_parts()
        self._weight = loss.adversarial_weight
        if loss != StganLoss("l2", False, self._weight, "printed") or run.share_encoder:
            raise ValueError("written for the losses and networks of `cases.stgan` alone")
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.set_float32_matmul_precision("high")  # on a GPU TF32, as in JAX; no less on a CPU
        self._device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        self._bfloat16 = run.compute_dtype == "bfloat16"
        self.gen = Generator(run.features, run.kernel)
        spatial = SpatialDiscriminator(run.features, run.kernel)
        temporal = TemporalDiscriminator(run.lstm_units, case.shape[1])
        self.discs = nn.ModuleList([spatial, temporal])
        _load(self.gen, self.discs, jax.device_get(case.params()))
        for network in (self.gen, self.discs):
            network.to(self._device, memory_format=torch.channels_last)
        self._gen_tx = _adam(self.gen, run.gen_learning_rate, 0.9)
        self._disc_tx = _adam(self.discs, run.disc_learning_rate, 0.5)
        self._trained = [p for p in self.discs.parameters() if p.requires_grad]
        self._real = torch.tensor(np.asarray(case.batch.unit()[0])).to(self._device)
        self._noise = torch.tensor(case.noise).to(self._device)
        wrap: Any = torch.compile if compile else lambda function: function
        self._generate, self._disc_loss, self._gen_loss = (
            wrap(function) for function in (self.gen.forward, self._of_discs, self._of_gen)
        )
        self.about: dict[str, Any] = {}
        self._losses: dict[str, torch.Tensor] = {}

    def __call__(self) -> None:
        """One step, to its end."""
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bfloat16):
            fake = self._generate(self._real, self._noise)
            parts = self._disc_loss(self._real, fake.detach())
        self._disc_tx.zero_grad()
        sum(parts.values()).backward()
        self._disc_tx.step()
        for weights in self._trained:  # G's half asks for no gradients of theirs
            weights.requires_grad_(False)
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bfloat16):
            more = self._gen_loss(self._real, fake, self._noise)
        self._gen_tx.zero_grad()
        more["loss/gen"].backward()
        self._gen_tx.step()
        for weights in self._trained:
            weights.requires_grad_(True)
        self._losses = parts | more
        if self._device == "cuda":
            torch.cuda.synchronize()

    def _of_discs(self, real, fake):
        both = torch.cat([real, fake])
        parts = {}
        for name, disc in zip(("spatial", "temporal"), self.discs, strict=True):
            of_real, of_fake = disc(both).float().chunk(2)
            value = functional.softplus(-of_real).mean() + functional.softplus(of_fake).mean()
            parts[f"loss/{name}_disc"] = value
        return parts

    def _of_gen(self, real, fake, noise):
        fake = fake.float()
        spatial, temporal = (functional.softplus(-disc(fake).float()).mean() for disc in self.discs)
        rec = (real - fake).square().sum(-1).mean()
        per = (noise[:, None] - fake).square().sum(-1).mean()
        terms = {"spatial": spatial, "temporal": temporal, "rec": rec, "per": per}
        total = self._weight * (spatial + temporal) + rec + self._alpha * per
        return {"loss/gen": total, **{f"loss/gen_{name}": term for name, term in terms.items()}}

    def losses(self) -> dict[str, float]:
        """The last call's loss terms, named as ours."""
        return {name: float(value.detach()) for name, value in self._losses.items()}


def _adam(network: nn.Module, rate: float, beta1: float) -> torch.optim.Adam:
    params = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(params, rate, (beta1, 0.999), eps=1e-8, fused=True)


def _load(gen: Generator, discs: nn.ModuleList, params: dict[str, Any]) -> None:
    """Takes our parameters over: kernels (taps, in, out) as (out, in, 1, taps), gates stacked."""
    spatial, temporal = discs
    tree = {name: params[name]["params"] for name in ("gen", "spatial_disc", "temporal_disc")}
    for name in ("encoder", "noise_encoder", "decoder"):
        _fill_conv(getattr(gen, name), tree["gen"][name])
    _fill_conv(spatial.conv, tree["spatial_disc"]["Conv_0"])
    _fill_dense(spatial.dense, tree["spatial_disc"]["Dense_0"])
    cell = tree["temporal_disc"]["OptimizedLSTMCell_0"]

    def stack(side, part):
        return np.concatenate([np.asarray(cell[side + gate][part]).T for gate in "ifgo"])

    _fill(
        temporal.lstm,
        weight_ih_l0=stack("i", "kernel"),
        weight_hh_l0=stack("h", "kernel"),
        bias_ih_l0=np.zeros_like(stack("h", "bias")),  # flax has one bias, PyTorch two
        bias_hh_l0=stack("h", "bias"),
    )
    temporal.lstm.bias_ih_l0.requires_grad_(False)
    _fill_dense(temporal.dense, tree["temporal_disc"]["Dense_0"])


def _fill_conv(layer: nn.Conv2d, weights: dict[str, np.ndarray]) -> None:
    _fill(layer, weight=weights["kernel"].transpose(2, 1, 0)[:, :, None], bias=weights["bias"])


def _fill_dense(layer: nn.Linear, weights: dict[str, np.ndarray]) -> None:
    _fill(layer, weight=weights["kernel"].T, bias=weights["bias"])


def _fill(layer: nn.Module, **values: np.ndarray) -> None:
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(torch.tensor(np.array(value)))
