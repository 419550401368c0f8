"""Texts to token ids and back; BPE and Unigram, by the `tokenizers` library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from decoding.errors import PromptError, TokenizerError


class Tokenizer:
    """A tokenizer read from a `tokenizer.json`.

    Parameters
    ----------
    path
        The file, or a folder that holds it.

    Raises
    ------
    TokenizerError
        There is no such file, or it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        from tokenizers import Tokenizer as Library

        path = Path(path)
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise TokenizerError(f"there is no tokenizer at {file}")
        try:
            text = file.read_text(encoding="utf-8")
            self.settings: dict[str, Any] = json.loads(text)
            self._library = Library.from_str(text)
        except Exception as error:  # the library raises Exception itself
            raise TokenizerError(f"{file} cannot be read: {error}") from error
        self._library.no_truncation()
        self._library.no_padding()

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id, those of added tokens included; there may be holes."""
        known = (self.settings.get("model") or {}).get("vocab") or ()
        added = (token["id"] for token in self.settings.get("added_tokens") or ())
        last = max(known.values(), default=-1) if isinstance(known, dict) else len(known) - 1
        return int(max(last, max(added, default=-1))) + 1

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of the tokens that are no text."""
        added = self._library.get_added_tokens_decoder()
        return frozenset(token for token, what in added.items() if what.special)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of a text; special tokens written in it are recognised.

        Raises
        ------
        PromptError
            The text has no UTF-8: it holds half a character, as bytes read in the wrong encoding do.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PromptError(f"the text is not valid Unicode: {text[error.start]!a} in it") from error
        return list(self._library.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of ids."""
        return str(self._library.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def token(self, token_id: int) -> str | None:
        """Spell a token as the vocabulary does; None for an id that is not there."""
        spelled = self._library.id_to_token(token_id)
        return None if spelled is None else str(spelled)

    def holding(self, marks: Sequence[str]) -> frozenset[int]:
        """Find the tokens whose text holds one of the marks; kept, because it looks at every token."""
        key = tuple(marks)
        if key not in self._held:
            texts = self._texts
            self._held[key] = frozenset(i for i, text in enumerate(texts) if any(m in text for m in key))
        return self._held[key]

    @cached_property
    def _held(self) -> dict[tuple[str, ...], frozenset[int]]:
        return {}

    @cached_property
    def _texts(self) -> list[str]:
        return self._library.decode_batch([[i] for i in range(self.vocab_size)], skip_special_tokens=False)
