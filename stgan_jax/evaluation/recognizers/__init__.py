"""Gait recognisers, by which an attacker finds people among walks.

- `gei`: distances of energy images, without training;
- `zheng`: Zheng et al. 2011, partial least squares and a view transformation model;
- `wu`: Wu et al. 2017, a network that compares two energy images;
- `set_network`: a network on sets of silhouettes, in the manner of GaitSet and GaitBase;
- `sequence_network`: a network on silhouettes in their order;
- `gait_numbers`: what a gait reader reads off a walk, cadence among it.

A recogniser of your own implements `Recognizer` and gets an entry in `catalog.KINDS`.
"""

from stgan_jax.evaluation.recognizers.api import SIZES, InParts, Recognizer, RecognizerKind
from stgan_jax.evaluation.recognizers.catalog import KINDS, cached, train

__all__ = ["KINDS", "SIZES", "InParts", "Recognizer", "RecognizerKind", "cached", "train"]
