"""The network Phi of WIFS 2017: ST-GAN's generator with one encoder for both inputs.

As printed, conv1d(1 -> 16, 3 taps) + ReLU on both inputs with shared weights, their sum, and
conv1d(16 -> 1, 3 taps) + ReLU: 113 parameters (WIFS Eqs. 2-4, Fig. 5).
"""

from stgan_jax.methods.stgan.networks import Generator

__all__ = ["Generator"]
