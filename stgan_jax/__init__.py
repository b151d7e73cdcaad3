"""Gait anonymisation in JAX: the same scene, the same walk, another walker."""

__version__ = "0.1.0"
