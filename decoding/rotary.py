"""Angles of the rotary position embedding."""

from __future__ import annotations

import math

import numpy as np

from decoding.config import ModelConfig, RopeScaling
from decoding.step import F32
from forecast.types import F64, I32


def frequencies(config: ModelConfig) -> F64:
    """(head_size / 2,) radians a position, the fastest first.

    Source: Su et al. (2021), *RoFormer*; the scaling is that of Llama 3.1.
    """
    exponents = np.arange(0, config.head_size, 2) / config.head_size
    plain: F64 = config.rope_theta**-exponents
    return plain if config.rope_scaling is None else _slowed(plain, config.rope_scaling)


def _slowed(plain: F64, scaling: RopeScaling) -> F64:
    turns = scaling.original_context * plain / (2 * math.pi)
    blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = np.clip(blend, 0.0, 1.0)
    slowed: F64 = (1 - blend) * plain / scaling.factor + blend * plain
    return slowed


def angles(freqs: F64, positions: I32) -> tuple[F32, F32]:
    """Cosines and sines, (positions, head_size / 2) each."""
    radians = positions[:, None] * freqs
    return np.cos(radians).astype(np.float32), np.sin(radians).astype(np.float32)
