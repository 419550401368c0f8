"""The pieces together are the text of all tokens, and none of them is taken back."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models
from tokenizers import Tokenizer as Library

from decoding.detokenizer import Detokenizer, stages
from decoding.errors import TokenizerError
from decoding.tokenizer import Tokenizer
from tests.decoding import goldens

NAMES = ("bpe", "bpe_split", "unigram")


@cache
def read(name):
    return Tokenizer(goldens.tokenizer(name))


def pieces(detokenizer, ids):
    return [*(detokenizer.push(i) for i in ids), detokenizer.finish()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("skip", [True, False])
@given(data=st.data())
def test_pieces_are_the_text_of_all(name, skip, data):
    tokenizer = read(name)
    # Special tokens, bytes and words in equal parts: runs of bytes, broken in all ways.
    token = st.one_of(st.integers(0, 2), st.integers(3, 258), st.integers(0, tokenizer.vocab_size + 1))
    ids = data.draw(st.lists(token, max_size=25))
    detokenizer = Detokenizer(tokenizer, skip_special_tokens=skip)
    said = ""
    for n, i in enumerate(ids, 1):
        said += detokenizer.push(i)
        # What is settled stays, and with what is pending it is the text so far.
        assert said + detokenizer.pending() == tokenizer.decode(ids[:n], skip_special_tokens=skip)
    assert said + detokenizer.finish() == tokenizer.decode(ids, skip_special_tokens=skip)


@pytest.mark.parametrize("name", NAMES)
def test_every_text_of_the_goldens_comes_back(name):
    for case in goldens.read(f"tokenizer_{name}")["cases"]:
        detokenizer = Detokenizer(read(name), skip_special_tokens=False)
        assert "".join(pieces(detokenizer, case["ids"])) == case["decoded"]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_goes_on_where_the_prompt_ends(name):
    tokenizer = read(name)
    ids = tokenizer.encode("def read(path): return path", add_special_tokens=False)
    for cut in range(1, len(ids)):
        answer = "".join(pieces(Detokenizer(tokenizer, at_start=False), ids[cut:]))
        assert tokenizer.decode(ids[:cut]) + answer == tokenizer.decode(ids)


def test_a_character_waits_for_its_last_byte():
    tokenizer = read("bpe")
    ids = tokenizer.encode("é", add_special_tokens=False)
    assert len(ids) == 2
    detokenizer = Detokenizer(tokenizer)
    assert detokenizer.push(ids[0]) == ""
    assert detokenizer.pending() == "\ufffd"
    assert detokenizer.push(ids[1]) == "é"
    assert detokenizer.pending() == ""


def made(decoder, *tokens):
    """A tokenizer of these tokens with that decoder."""
    library = Library(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=tokens[0]))
    library.decoder = decoder
    library.add_tokens([AddedToken("<|end of text|>")])
    return library


@pytest.mark.parametrize(
    "decoder",
    [
        decoders.Metaspace(),
        decoders.Metaspace(prepend_scheme="never"),
        decoders.ByteLevel(),
        decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 2, 0)]),
    ],
    ids=["metaspace", "metaspace-never", "bytes", "fallback-metaspace", "llama", "strip-2"],
)
@given(ids=st.lists(st.integers(0, 9), max_size=12))
def test_other_decoders_are_those_of_the_library(tmp_path_factory, decoder, ids):
    words = ["▁a", "▁▁▁", "b", "<0xC3>", "<0xA9>", "<0xZZ>", "ÃĠ", "", "c▁"]
    library = made(decoder, *words)
    tokenizer = Tokenizer.__new__(Tokenizer)
    tokenizer._library = library
    tokenizer.settings = {"decoder": json.loads(decoder.__getstate__())}
    assert "".join(pieces(Detokenizer(tokenizer), ids)) == tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("decoder", "match"),
    [
        (None, "no decoder"),
        ({"type": "WordPiece"}, "'WordPiece' is not supported"),
        ({"type": "Strip", "content": " ", "start": 1, "stop": 0}, "before 'Fuse'"),
        ({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]}, "after 'Fuse'"),
        ({"type": "Replace", "pattern": {"Regex": "x"}, "content": ""}, "regular expression"),
        (
            {
                "type": "Sequence",
                "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 0, "stop": 1}],
            },
            "at the end",
        ),
    ],
    ids=["none", "unknown", "strip-early", "late", "regex", "strip-end"],
)
def test_a_decoder_that_is_not_supported_is_named(decoder, match):
    with pytest.raises(TokenizerError, match=match):
        stages(decoder, True)
