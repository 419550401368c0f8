"""Token by token to text, so that the pieces together are the text of all tokens.

A piece is text that no later token can change. What may still change waits: a character of which not all
bytes are there, or a run of byte tokens, which the next token can turn out to be no UTF-8 at all.

The decoder is a chain of stages, made from the `decoder` part of a `tokenizer.json`.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from typing import Any, Protocol

from decoding.errors import TokenizerError
from decoding.tokenizer import Tokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Stage(Protocol):
    """Takes pieces, gives pieces; keeps what is not settled."""

    def feed(self, piece: str) -> list[str]:
        """Take one piece, give what is settled."""
        ...

    def flush(self) -> list[str]:
        """Give the rest: nothing comes any more."""
        ...


class Detokenizer:
    """The text of a growing list of tokens.

    Parameters
    ----------
    tokenizer
        Whose tokens these are.
    skip_special_tokens
        Leave special tokens out.
    at_start
        Whether these are the first tokens of a text: Unigram tokenizers put a space before it that is no part
        of it. False for tokens that go on after a prompt.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, skip_special_tokens: bool = True, at_start: bool = True
    ) -> None:
        self._tokenizer = tokenizer
        self._skipped = tokenizer.special_ids if skip_special_tokens else frozenset()
        self._stages = stages(tokenizer.settings.get("decoder"), at_start)

    def push(self, token_id: int) -> str:
        """Take a token, return what is settled by it, often nothing."""
        token = None if token_id in self._skipped else self._tokenizer.token(token_id)
        return "" if token is None else _run(self._stages, token)

    def pending(self) -> str:
        """Return what would come if there were no more tokens; "" if all is settled."""
        return _finish([copy(stage) for stage in self._stages])

    def finish(self) -> str:
        """Return what is left; no token may follow."""
        return _finish(self._stages)


def _run(chain: list[Stage], token: str) -> str:
    pieces = [token]
    for stage in chain:
        pieces = [out for piece in pieces for out in stage.feed(piece)]
    return "".join(pieces)


def _finish(chain: list[Stage]) -> str:
    pieces: list[str] = []
    for stage in chain:
        pieces = [out for piece in pieces for out in stage.feed(piece)] + stage.flush()
    return "".join(pieces)


@cache
def _byte_of() -> Mapping[str, int]:
    """Map the printable characters of byte-level vocabularies to the bytes they stand for (GPT-2)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


class ByteLevel:
    """Characters that stand for bytes, to UTF-8; a token with any other character stands for itself."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, piece: str) -> list[str]:
        known = _byte_of()
        plain = all(char in known for char in piece)
        self._kept += bytes(known[char] for char in piece) if plain else piece.encode()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(self._kept)
        self._kept = decoder.getstate()[0]
        return [text]

    def flush(self) -> list[str]:
        text, self._kept = self._kept.decode(errors="replace"), b""
        return [text]


class ByteFallback:
    """Tokens such as <0xE2>, to UTF-8, a whole run at a time; a run that is no UTF-8 is one mark a byte."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, piece: str) -> list[str]:
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            try:
                self._kept += bytes([int(piece[3:5], 16)])
            except ValueError:
                return [*self.flush(), piece]
            return []
        return [*self.flush(), piece]

    def flush(self) -> list[str]:
        kept, self._kept = self._kept, b""
        if not kept:
            return []
        try:
            return [kept.decode()]
        except UnicodeDecodeError:
            return [REPLACEMENT * len(kept)]


class Replace:
    """One text for another, within each piece."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def feed(self, piece: str) -> list[str]:
        return [piece.replace(self._old, self._new)]

    def flush(self) -> list[str]:
        return []


class Strip:
    """Drop up to `left` characters at the start of the text."""

    def __init__(self, char: str, left: int) -> None:
        self._char, self._left = char, left

    def feed(self, piece: str) -> list[str]:
        while self._left and piece:
            if piece[0] != self._char:
                self._left = 0
                break
            piece, self._left = piece[1:], self._left - 1
        return [piece]

    def flush(self) -> list[str]:
        return []


class Metaspace:
    """Marks to spaces; those of the first piece are dropped."""

    def __init__(self, mark: str, drop_first: bool) -> None:
        self._mark, self._first = mark, drop_first

    def feed(self, piece: str) -> list[str]:
        space, self._first = "" if self._first else " ", False
        return [piece.replace(self._mark, space)]

    def flush(self) -> list[str]:
        return []


def stages(decoder: Mapping[str, Any] | None, at_start: bool) -> list[Stage]:
    """Make the chain for a `decoder` of a `tokenizer.json`.

    Raises
    ------
    TokenizerError
        A kind of decoder that is not supported, by name.
    """
    if decoder is None:
        raise TokenizerError("the tokenizer has no decoder: its tokens have no text")
    parts = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
    chain: list[Stage] = []
    fused = False
    for part in parts:
        kind = part["type"]
        if kind == "Fuse":
            fused = True
        elif kind not in _MAKERS:
            raise TokenizerError(f"tokenizer decoder {kind!r} is not supported; known: {', '.join(_MAKERS)}")
        elif (kind == "Strip") != fused:  # the others look at single tokens, Strip at the whole text
            raise TokenizerError(
                f"tokenizer decoder {kind!r} {'after' if fused else 'before'} 'Fuse' is not supported"
            )
        else:
            chain.append(_MAKERS[kind](part, at_start))
    return chain


def _replace(part: Mapping[str, Any], _: bool) -> Stage:
    if "String" not in part["pattern"]:
        raise TokenizerError("tokenizer decoder 'Replace' with a regular expression is not supported")
    return Replace(part["pattern"]["String"], part["content"])


def _strip(part: Mapping[str, Any], at_start: bool) -> Stage:
    if part["stop"]:
        raise TokenizerError("tokenizer decoder 'Strip' at the end of a text is not supported")
    return Strip(part["content"], part["start"] if at_start else 0)


_MAKERS: dict[str, Callable[[Mapping[str, Any], bool], Stage]] = {
    "ByteLevel": lambda _, __: ByteLevel(),
    "ByteFallback": lambda _, __: ByteFallback(),
    "Replace": _replace,
    "Strip": _strip,
    "Metaspace": lambda part, at_start: Metaspace(
        part["replacement"], at_start and part.get("prepend_scheme", "always") != "never"
    ),
}
