"""Token ids and texts are those of the goldens; what cannot be read is said."""

from __future__ import annotations

import pytest

from decoding.errors import TokenizerError
from decoding.tokenizer import Tokenizer
from tests.decoding import goldens

NAMES = ("bpe", "bpe_split", "unigram")


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_texts_are_those_of_the_goldens(name):
    tokenizer = Tokenizer(goldens.tokenizer(name))
    golden = goldens.read(f"tokenizer_{name}")
    assert tokenizer.vocab_size == golden["vocab_size"]
    for case in golden["cases"]:
        assert tokenizer.encode(case["text"], add_special_tokens=False) == case["ids"]
        assert tokenizer.decode(case["ids"], skip_special_tokens=False) == case["decoded"]
        assert tokenizer.decode(case["ids"]) == case["decoded_skip_special"]


def test_tokens_that_hold_a_mark_are_found():
    tokenizer = Tokenizer(goldens.tokenizer("bpe"))
    held = tokenizer.holding(["\n", ":"])
    assert held == {
        i for i in range(515) if set(tokenizer.decode([i], skip_special_tokens=False)) & {"\n", ":"}
    }
    assert len(held) > 2
    assert tokenizer.holding(["\n", ":"]) is held


def test_an_id_beyond_the_vocabulary_is_no_token():
    assert Tokenizer(goldens.tokenizer("bpe")).token(515) is None


def test_a_missing_or_broken_file_is_said(tmp_path):
    with pytest.raises(TokenizerError, match="no tokenizer at"):
        Tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(TokenizerError, match="cannot be read"):
        Tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(TokenizerError, match="cannot be read"):
        Tokenizer(tmp_path)
