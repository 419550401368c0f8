"""Language models on a CPU: the loop of prefill, cache, decode, sample and stop, readable.

>>> from decoding import Engine, SamplingParams
>>> with Engine.load("smollm", weights="int4") as engine:  # doctest: +SKIP
...     answers = engine.generate(["Once upon a time"], SamplingParams(max_new_tokens=64))

The names below are imported when first used, so that ``import decoding`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decoding.engine import Engine as Engine
    from decoding.errors import DecodingError as DecodingError
    from decoding.errors import InputError as InputError
    from decoding.output import FinishReason as FinishReason
    from decoding.output import Output as Output
    from decoding.output import Piece as Piece
    from decoding.output import Stats as Stats
    from decoding.sampling.logprobs import TokenLogprobs as TokenLogprobs
    from decoding.sampling.params import SamplingParams as SamplingParams
    from decoding.tokenizer import Tokenizer as Tokenizer

_HOMES = {
    "decoding.engine": ["Engine"],
    "decoding.errors": ["DecodingError", "InputError"],
    "decoding.output": ["FinishReason", "Output", "Piece", "Stats"],
    "decoding.sampling.logprobs": ["TokenLogprobs"],
    "decoding.sampling.params": ["SamplingParams"],
    "decoding.tokenizer": ["Tokenizer"],
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_WHERE]  # noqa: PLE0604  # names are served by __getattr__


def __getattr__(name: str) -> Any:  # noqa: ANN401  # any public name
    if name not in _WHERE:
        raise AttributeError(f"module 'decoding' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
