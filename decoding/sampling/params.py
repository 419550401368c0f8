"""What a request asks of the sampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Final, TypeGuard

from decoding.errors import ParamError

SEEDS: Final = 2**64
MOST_LOGPROBS: Final = 100
"""Top log-probabilities a request may ask for: more is a copy of the vocabulary, not an answer."""

COLDEST: Final = 1e-5
"""Smallest temperature but 0: a colder one is greedy in all but name, and logits divided by it overflow."""

LARGEST: Final = 1e30
"""Most that a number may be that is added to a logit: sums of several stay finite in float32."""

MOST_REPETITION: Final = 1e6
"""Largest penalty of repetition, and the inverse of the smallest."""

BREAKERS: Final = ("\n", ":", '"', "*")
"""Where DRY looks no further back: the marks that texts repeat for good reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How to choose tokens, and when to stop. Every field stands for "off" by default.

    The processors act in one fixed order, whatever the order of the arguments:

    1. ``logit_bias``, ``sequence_bias``
    2. ``repetition_penalty`` (prompt and output), ``frequency_penalty``, ``presence_penalty`` (output)
    3. ``dry_*``
    4. ``no_repeat_ngram_size``, ``bad_words_ids``
    5. ``min_new_tokens``
    6. ``exponential_decay_length_penalty``
    7. ``suppress_tokens``; with temperature 0, the largest logit wins here (of equal ones the smaller id)
    8. ``temperature``
    9. ``top_k``, ``top_p``, ``min_p``, ``typical_p``, ``epsilon_cutoff``, ``eta_cutoff``, ``xtc_*``;
       or ``mirostat_*`` in place of all of them
    10. the draw

    Parameters
    ----------
    max_new_tokens
        Most tokens of the answer; None: as many as context and KV cache hold.
    min_new_tokens
        No end-of-sequence token, stop token or stop string counts before that many.
    temperature
        0 is greedy.
    top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff
        Filters; ``top_k=0``, ``top_p=1``, ``typical_p=1`` and the others at 0 are off. Equal logits are kept
        or dropped together by all but ``top_p``.
    min_tokens_to_keep
        What the filters leave at least.
    repetition_penalty
        Divides positive logits and multiplies negative ones of every token seen (Keskar et al. 2019).
    frequency_penalty, presence_penalty
        Subtracted per occurrence, and once, of a token in the output.
    dry_multiplier, dry_base, dry_allowed_length, dry_range, dry_sequence_breakers
        A token that would go on with a repetition of n tokens, at least ``allowed_length``, loses
        ``multiplier * base ** (n - allowed_length)``. Looks back over `dry_range` tokens (None: all), never
        past a token that holds a breaker.
    xtc_probability, xtc_threshold
        With that probability, of the tokens at or above the threshold only the least probable stays.
    mirostat_tau, mirostat_eta
        Mirostat 2 (Basu et al. 2021): surprise wanted, in bits, and rate of learning. `mirostat_tau` 0 is
        off.
    bad_words_ids, sequence_bias
        Token sequences whose last token is forbidden, or biased, where the others stand just before it.
    exponential_decay_length_penalty
        (start, factor): after `start` new tokens, the end of sequence gains
        ``|logit| * (factor ** excess - 1)``.
    seed
        Of this request's own generator; the draw for token t depends on (seed, t) alone. None: a random one,
        reported with the answer.
    stop, stop_token_ids, ignore_eos
        Texts and tokens that end the answer besides the model's end of sequence; the latter can be ignored.
        The token is part of the answer's ids; a stop text is cut from its text unless `include_stop`.
    logprobs
        None for none; n for those of the chosen token and of the n most probable, before any processor.
    deadline_s
        Seconds from submission after which the answer ends with what it has.
    skip_special_tokens
        Whether special tokens are left out of the text.
    """

    max_new_tokens: int | None = 128
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    min_tokens_to_keep: int = 1
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_range: int | None = None
    dry_sequence_breakers: Sequence[str] = BREAKERS
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat_tau: float = 0.0
    mirostat_eta: float = 0.1
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    sequence_bias: Sequence[tuple[Sequence[int], float]] = ()
    bad_words_ids: Sequence[Sequence[int]] = ()
    suppress_tokens: Sequence[int] = ()
    exponential_decay_length_penalty: tuple[int, float] | None = None
    seed: int | None = None
    stop: str | Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    ignore_eos: bool = False
    include_stop: bool = False
    logprobs: int | None = None
    deadline_s: float | None = None
    skip_special_tokens: bool = True

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        ParamError
            Names the field.
        """
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        for name, (needed, holds) in _RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise ParamError(name, value, needed)
            object.__setattr__(self, name, float(value) if name in _FLOATS else _own(value))
        self._check_together()

    def _check_together(self) -> None:
        if self.max_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise ParamError("min_new_tokens", self.min_new_tokens, "not exceed max_new_tokens")
        if self.temperature == 0:
            for name in ("mirostat_tau", "xtc_probability"):
                if getattr(self, name):
                    raise ParamError(
                        name, getattr(self, name), "be 0 where temperature is 0, which is greedy"
                    )
        if self.mirostat_tau:
            for name, off in _FILTERS_OFF.items():
                if getattr(self, name) != off:
                    raise ParamError(name, getattr(self, name), "be off with mirostat, which replaces it")

    @property
    def greedy(self) -> bool:
        """Whether the largest logit wins."""
        return self.temperature == 0

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The stop texts, also where one was given alone."""
        return tuple(self.stop)


_FLOATS: Final = {field.name for field in fields(SamplingParams) if isinstance(field.default, float)}

_FILTERS_OFF: Final[Mapping[str, float]] = {
    "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "xtc_probability": 0.0,
}  # fmt: skip

Rule = tuple[str, Callable[[object], bool]]


def _whole(value: object, low: int, high: float = math.inf) -> bool:
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return low <= int(value) <= high


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number beyond all floats
        return False


def _own(value: Any) -> Any:  # noqa: ANN401  # of any field
    """Copy a good value, in Python's own numbers: the caller may change his."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {int(key): float(each) for key, each in value.items()}
    return tuple(_own(each) for each in value)


def _at_least(low: int) -> Rule:
    return f"be a whole number of at least {low}", lambda v: _whole(v, low)


def _or_none(rule: Rule) -> Rule:
    needed, holds = rule
    return f"{needed}, or None", lambda v: v is None or holds(v)


def _within(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Rule:
    def holds(value: object) -> bool:
        if not _number(value):
            return False
        x = float(value)  # type: ignore[arg-type]  # _number has looked
        return (low < x if open_low else low <= x) and (x < high if open_high else x <= high)

    return f"lie in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}", holds


def _bias(value: object) -> bool:
    """Whether `value` can be added to a logit; minus infinity forbids."""
    return (isinstance(value, Real) and value == -math.inf) or _within(-LARGEST, LARGEST)[1](value)


def _list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _ids(value: object) -> bool:
    return _list(value) and all(_whole(i, 0) for i in value)


def _words(value: object) -> bool:
    return _list(value) and all(_ids(word) and len(word) > 0 for word in value)


def _texts(value: object) -> bool:
    return _list(value) and all(isinstance(text, str) and text for text in value)


def _pairs(value: object) -> bool:
    return _list(value) and all(
        _list(pair) and len(pair) == 2 and _words([pair[0]]) and _bias(pair[1]) for pair in value
    )


def _decay(value: object) -> bool:
    return value is None or (
        _list(value)
        and len(value) == 2
        and _whole(value[0], 0)
        and _within(0, LARGEST, open_low=True)[1](value[1])
    )


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(_whole(i, 0) and _bias(b) for i, b in value.items())


_FLAG: Final[Rule] = ("be true or false", lambda v: isinstance(v, bool))
_TEXTS: Final[Rule] = ("be a list of texts, none of them empty", _texts)
_IDS: Final[Rule] = ("be a list of token ids", _ids)

_RULES: Final[Mapping[str, Rule]] = {
    "max_new_tokens": _or_none(_at_least(1)),
    "min_new_tokens": _at_least(0),
    "temperature": (f"be 0 (greedy), or lie in [{COLDEST:g}, {LARGEST:g}]",
                    lambda v: (_number(v) and v == 0) or _within(COLDEST, LARGEST)[1](v)),
    "top_k": _at_least(0),
    "top_p": _within(0, 1, open_low=True),
    "min_p": _within(0, 1),
    "typical_p": _within(0, 1, open_low=True),
    "epsilon_cutoff": _within(0, 1, open_high=True),
    "eta_cutoff": _within(0, 1, open_high=True),
    "min_tokens_to_keep": _at_least(1),
    "repetition_penalty": _within(1 / MOST_REPETITION, MOST_REPETITION),
    "frequency_penalty": _within(-LARGEST, LARGEST),
    "presence_penalty": _within(-LARGEST, LARGEST),
    "no_repeat_ngram_size": _at_least(0),
    "dry_multiplier": _within(0, LARGEST),
    "dry_base": _within(1, LARGEST),
    "dry_allowed_length": _at_least(1),
    "dry_range": _or_none(_at_least(1)),
    "dry_sequence_breakers": _TEXTS,
    "xtc_probability": _within(0, 1),
    "xtc_threshold": _within(0, 1, open_low=True),
    "mirostat_tau": _within(0, LARGEST),
    "mirostat_eta": _within(0, 1, open_low=True),
    "logit_bias": (f"map token ids to numbers in [{-LARGEST:g}, {LARGEST:g}] (or minus infinity)", _mapping),
    "sequence_bias": (f"be a list of (token ids, bias in [{-LARGEST:g}, {LARGEST:g}])", _pairs),
    "bad_words_ids": ("be a list of lists of token ids, none of them empty", _words),
    "suppress_tokens": _IDS,
    "exponential_decay_length_penalty": (f"be (start of at least 0, factor in (0, {LARGEST:g}]), or None",
                                         _decay),
    "seed": (f"be a whole number in [0, {SEEDS}), or None", lambda v: v is None or _whole(v, 0, SEEDS - 1)),
    "stop": _TEXTS,
    "stop_token_ids": _IDS,
    "ignore_eos": _FLAG,
    "include_stop": _FLAG,
    "logprobs": (f"be a whole number in [0, {MOST_LOGPROBS}], or None",
                 lambda v: v is None or _whole(v, 0, MOST_LOGPROBS)),
    "deadline_s": _or_none(_within(0, LARGEST, open_low=True)),
    "skip_special_tokens": _FLAG,
}  # fmt: skip
