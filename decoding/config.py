"""The architecture of a checkpoint, from its `config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        if not (self.norm_eps > 0 and self.rope_theta > 0):
            raise CheckpointError(
                f"norm eps and rope theta must be positive, got {self.norm_eps} and {self.rope_theta}"
            )

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
        path = Path(folder) / "config.json"
        if not path.is_file():
            raise CheckpointError(f"no config.json in {folder}")
        return cls.from_file(path)

    @classmethod
    def from_file(cls, path: str | Path) -> ModelConfig:
        """Read a `config.json`, which may lie alone.

        Raises
        ------
        CheckpointError
            As for `from_folder`.
        """
        try:
            settings = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(f"no file {path}") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as fault:
            raise CheckpointError(f"{path} cannot be read: {fault}") from fault
        if not isinstance(settings, dict):
            raise CheckpointError(f"{path} must hold an object")
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
            tied=bool(settings.get("tie_word_embeddings", False)),
            qkv_bias=architecture == "Qwen2ForCausalLM",
            qk_norm=architecture == "Qwen3ForCausalLM",
            n_experts=_int(settings, "num_local_experts", 8) if experts else 0,
            experts_per_token=_int(settings, "num_experts_per_tok", 2) if experts else 0,
            eos_ids=_ids(settings.get("eos_token_id")),
            bos_id=settings.get("bos_token_id"),
        )


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
    for key in ("attention_bias", "mlp_bias"):
        if settings.get(key):
            raise CheckpointError(f"{key} is not supported")
    windowed = settings.get("use_sliding_window", True) and settings.get("sliding_window") is not None
    layers = set(settings.get("layer_types") or ()) - {"full_attention"}
    if windowed or layers:
        raise CheckpointError("sliding-window attention is not supported")


def _rope(settings: Mapping[str, Any]) -> tuple[float, RopeScaling | None]:
    """Theta and scaling, from `rope_parameters` or from `rope_theta` and `rope_scaling`."""
    found = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    if not isinstance(found, dict):
        raise CheckpointError(f"rope settings must be an object, got {found!r}")
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


def _ids(found: object) -> tuple[int, ...]:
    if found is None:
        return ()
    listed: list[object] = found if isinstance(found, list) else [found]
    ids = tuple(i for i in listed if isinstance(i, int))
    if len(ids) != len(listed):
        raise CheckpointError(f"eos_token_id must be an id or a list of ids, got {found!r}")
    return ids


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
    return float(found)
