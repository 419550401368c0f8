"""The architecture of a checkpoint, from its `config.json`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from decoding.errors import CheckpointError
from forecast.errors import nearest


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Llama-3 scaling: slow rotations are slowed down by `factor`, fast ones left alone.

    Between the wavelengths ``context / low_freq_factor`` and ``context / high_freq_factor`` the two are
    blended.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int

    def __post_init__(self) -> None:
        """Check that the formula has an answer.

        Raises
        ------
        CheckpointError
            It has none.
        """
        if not (1 <= self.factor < math.inf and 0 < self.low_freq_factor < self.high_freq_factor < math.inf):
            raise CheckpointError(
                f"llama3 rope needs a factor of at least 1 and 0 < low_freq_factor < high_freq_factor, got "
                f"{self.factor}, {self.low_freq_factor} and {self.high_freq_factor}"
            )
        if self.original_context < 1:
            raise CheckpointError(
                f"original_max_position_embeddings must be at least 1, got {self.original_context}"
            )


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder of the Llama family; counts, sizes in numbers of weights.

    Parameters
    ----------
    architecture
        The checkpoint's own name, one of `ARCHITECTURES`.
    hidden, mlp
        Width of the residual stream, and of the feed-forward layer (of one expert).
    n_heads, n_kv_heads, head_size
        Query heads, key and value heads (a divisor of the former), width of each.
    context
        Positions the model was made for.
    tied
        The embedding is the output layer too.
    qkv_bias, qk_norm
        Qwen2 adds a bias to queries, keys and values; Qwen3 normalises queries and keys by head.
    n_experts, experts_per_token
        0 and 0 in a dense model.

    Raises
    ------
    CheckpointError
        Sizes that do not fit together.
    """

    architecture: str
    vocab: int
    hidden: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_size: int
    mlp: int
    context: int
    norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None = None
    tied: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    n_experts: int = 0
    experts_per_token: int = 0
    eos_ids: tuple[int, ...] = ()
    bos_id: int | None = None

    def __post_init__(self) -> None:
        sizes = ("vocab", "hidden", "n_layers", "n_heads", "n_kv_heads", "head_size", "mlp", "context")
        for name in sizes:
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} must be at least 1, got {getattr(self, name)}")
            if getattr(self, name) > _MOST:
                raise CheckpointError(f"{name} must be at most {_MOST}, got {getattr(self, name)}")
        if self.n_layers * max(self.n_experts, 1) > _MOST_LAYERS:
            raise CheckpointError(
                f"{self.n_layers} layers of {max(self.n_experts, 1)} feed-forward layers each are more than "
                f"{_MOST_LAYERS} in all: no model has as many"
            )
        if self.n_heads % self.n_kv_heads:
            raise CheckpointError(
                f"{self.n_heads} query heads cannot share {self.n_kv_heads} key and value heads evenly"
            )
        if self.head_size % 2:
            raise CheckpointError(f"head size must be even for the rotary embedding, got {self.head_size}")
        if not 0 <= self.experts_per_token <= self.n_experts or bool(self.n_experts) != bool(
            self.experts_per_token
        ):
            raise CheckpointError(f"cannot choose {self.experts_per_token} of {self.n_experts} experts")
        if not (0 < self.norm_eps < math.inf and 0 < self.rope_theta < math.inf):
            raise CheckpointError(
                f"norm eps and rope theta must be positive and finite, got {self.norm_eps} and "
                f"{self.rope_theta}"
            )
        check_ids(self.eos_ids, self.vocab)

    @property
    def q_width(self) -> int:
        """All query heads side by side."""
        return self.n_heads * self.head_size

    @property
    def kv_width(self) -> int:
        """All key heads side by side; the value heads are as wide."""
        return self.n_kv_heads * self.head_size

    @classmethod
    def from_folder(cls, folder: str | Path) -> ModelConfig:
        """Read `config.json` of a Hugging Face folder.

        Raises
        ------
        CheckpointError
            No such file, no JSON, an unknown architecture, a setting that is missing or that we do not have.
        """
        named = isinstance(folder, str | os.PathLike)
        settings = read_object(Path(folder) / "config.json") if named else None
        if settings is None:
            raise CheckpointError(f"no config.json in {str(folder)!r}")
        return cls.from_settings(settings)

    @classmethod
    def from_file(cls, path: str | Path) -> ModelConfig:
        """Read a `config.json`, which may lie alone.

        Raises
        ------
        CheckpointError
            As for `from_folder`.
        """
        settings = read_object(Path(path))
        if settings is None:
            raise CheckpointError(f"no file {str(path)!r}")
        return cls.from_settings(settings)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ModelConfig:
        """Make a configuration of what `config.json` says; both styles of rope settings are understood.

        Raises
        ------
        CheckpointError
            As for `from_folder`.
        """
        architecture = _architecture(settings)
        _refuse_variants(settings)
        experts = architecture == "MixtralForCausalLM"
        hidden, heads = _int(settings, "hidden_size"), _int(settings, "num_attention_heads")
        theta, scaling = _rope(settings)
        return cls(
            architecture=architecture,
            vocab=_int(settings, "vocab_size"),
            hidden=hidden,
            n_layers=_int(settings, "num_hidden_layers"),
            n_heads=heads,
            n_kv_heads=_int(settings, "num_key_value_heads", heads),
            head_size=_int(settings, "head_dim", hidden // max(heads, 1)),
            mlp=_int(settings, "intermediate_size"),
            context=_int(settings, "max_position_embeddings"),
            norm_eps=_float(settings, "rms_norm_eps", 1e-6),
            rope_theta=theta,
            rope_scaling=scaling,
            tied=_flag(settings, "tie_word_embeddings"),
            qkv_bias=architecture == "Qwen2ForCausalLM",
            qk_norm=architecture == "Qwen3ForCausalLM",
            n_experts=_int(settings, "num_local_experts", 8) if experts else 0,
            experts_per_token=_int(settings, "num_experts_per_tok", 2) if experts else 0,
            eos_ids=token_ids("eos_token_id", settings.get("eos_token_id")),
            bos_id=None if settings.get("bos_token_id") is None else _int(settings, "bos_token_id"),
        )


_MOST: Final = 2**31 - 1
_MOST_LAYERS: Final = 100_000

_VARIANTS: Final[Mapping[str, tuple[object, ...]]] = {
    "partial_rotary_factor": (1,), "attn_logit_softcapping": (), "final_logit_softcapping": (),
    "logit_scale": (1,), "logits_scaling": (1,), "embedding_multiplier": (1,), "residual_multiplier": (1,),
    "attention_multiplier": (), "no_rope_layers": (), "quantization_config": (),
}  # fmt: skip
"""Settings of relatives that would change the numbers, and the values at which they do not."""

ARCHITECTURES = ("LlamaForCausalLM", "MixtralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


def _architecture(settings: Mapping[str, Any]) -> str:
    names = settings.get("architectures")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise CheckpointError(f"config.json must name one architecture, got {names!r}")
    if names[0] not in ARCHITECTURES:
        raise CheckpointError(f"unknown architecture {names[0]!r}{nearest(names[0], ARCHITECTURES)}")
    return names[0]


def _refuse_variants(settings: Mapping[str, Any]) -> None:
    """Say no to what would change the numbers and is not implemented, rather than compute something else."""
    if (activation := settings.get("hidden_act", "silu")) != "silu":
        raise CheckpointError(f"hidden_act must be 'silu', got {activation!r}")
    for key in ("attention_bias", "mlp_bias", *_VARIANTS):
        found = settings.get(key)
        if found and (found is True or found not in _VARIANTS.get(key, ())):
            raise CheckpointError(f"{key} is not supported, got {found!r}")
    windowed = settings.get("use_sliding_window", True) and settings.get("sliding_window") is not None
    layers = settings.get("layer_types") or []
    if windowed or not isinstance(layers, list) or any(layer != "full_attention" for layer in layers):
        raise CheckpointError("sliding-window attention is not supported")


def _flag(settings: Mapping[str, Any], key: str) -> bool:
    found = settings.get(key)
    if found is not None and not isinstance(found, bool):
        raise CheckpointError(f"{key} must be true or false, got {found!r}")
    return bool(found)


def _rope(settings: Mapping[str, Any]) -> tuple[float, RopeScaling | None]:
    """Theta and scaling, from `rope_parameters` or from `rope_theta` and `rope_scaling`."""
    found = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    if not isinstance(found, dict):
        raise CheckpointError(f"rope settings must be an object, got {found!r}")
    if _float(found, "partial_rotary_factor", 1.0) != 1 or any(isinstance(v, dict) for v in found.values()):
        raise CheckpointError(f"rope settings by part or by kind of layer are not supported, got {found!r}")
    theta = _float(found, "rope_theta", _float(settings, "rope_theta", 10000.0))
    kind = found.get("rope_type", found.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise CheckpointError(
            f"rope type {kind!r} is not supported{nearest(str(kind), ('default', 'llama3'))}"
        )
    scaling = RopeScaling(
        _float(found, "factor"),
        _float(found, "low_freq_factor"),
        _float(found, "high_freq_factor"),
        _int(found, "original_max_position_embeddings"),
    )
    return theta, scaling


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a file that holds one JSON object; None where there is no such file.

    Raises
    ------
    CheckpointError
        It cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as fault:
        raise CheckpointError(f"{str(path)!r} cannot be read: {fault}") from fault
    if not isinstance(found, dict):
        raise CheckpointError(f"{str(path)!r} must hold an object")
    return found


def token_ids(name: str, found: object) -> tuple[int, ...]:
    """Read an id, a list of them, or nothing.

    Raises
    ------
    CheckpointError
        It is something else.
    """
    if found is None:
        return ()
    listed: list[object] = found if isinstance(found, list) else [found]
    ids = tuple(i for i in listed if isinstance(i, int) and not isinstance(i, bool))
    if len(ids) != len(listed):
        raise CheckpointError(f"{name} must be an id or a list of ids, got {found!r}")
    return ids


def check_ids(ids: Iterable[int], vocab: int) -> None:
    """Raise CheckpointError for an end of sequence outside the vocabulary."""
    for token in ids:
        if not 0 <= token < vocab:
            raise CheckpointError(f"eos_token_id {token} is outside the vocabulary of {vocab}")


def _int(settings: Mapping[str, Any], key: str, default: int | None = None) -> int:
    found = settings.get(key)
    found = default if found is None else found
    if isinstance(found, bool) or not isinstance(found, int):
        raise CheckpointError(f"{key} must be a whole number, got {found!r}")
    return found


def _float(settings: Mapping[str, Any], key: str, default: float | None = None) -> float:
    found = settings.get(key)
    found = default if found is None else found
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise CheckpointError(f"{key} must be a number, got {found!r}")
    try:
        return float(found)
    except OverflowError:
        raise CheckpointError(f"{key} is beyond all floats") from None
