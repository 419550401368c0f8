"""The back end of ONNX Runtime: logits of the goldens, of the oracle, and of our own kernels."""

from __future__ import annotations

import json
import sys
from importlib import import_module

import numpy as np
import pytest

from decoding.errors import CheckpointError, InputError, MemoryPlanError, ParamError, UnsupportedError
from decoding.ort import OrtModel, buckets
from decoding.quantize import to_blocks
from decoding.step import StepBatch
from tests.decoding import goldens
from tests.decoding.checkpoints import write
from tests.decoding.test_numba_model import SHAPES as ALL_SHAPES
from tests.decoding.test_numba_model import a_batch, bytes_of, in_pieces, table_of
from tests.oracles import decoder as oracle

# float32 over a few layers of unit size; what the kernels round depends on the number of rows.
TOLERANCE = 5e-5
BLOCK = 16
# Heads are of a multiple of 16 here.
SHAPES = ALL_SHAPES | {"norms by head": ALL_SHAPES["norms by head"] | {"head_dim": 48}}
REFUSED = ("mixture", "mixture of 20, one picked", "nothing is a multiple of 16")


def load(folder, **settings):
    return OrtModel.load(folder, **({"n_blocks": 40, "block_size": BLOCK} | settings))


@pytest.fixture
def short_rows(monkeypatch):
    """Rows so short that sequences outgrow them."""
    monkeypatch.setattr(buckets, "SHORTEST", 16)


@pytest.mark.shared
@pytest.mark.parametrize("name", goldens.MODELS)
def test_logits_of_the_goldens(name):
    model, table = load(goldens.model(name)), table_of(np.random.default_rng(0), 1)
    for case in goldens.read("logits")["models"][name]["cases"]:
        ids = np.array(case["tokens"])
        clear = np.array(case["position_margin"]) > 1e-3
        for size in (len(ids), 5, 1):
            found = in_pieces(model, ids, table, size)
            np.testing.assert_allclose(found[-1], case["last_logits"], rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(found.mean(1), case["position_mean"], rtol=0, atol=TOLERANCE)
            np.testing.assert_array_equal(found.argmax(1)[clear], np.array(case["position_argmax"])[clear])
    model.close()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in REFUSED])
def test_logits_of_every_shape_are_the_oracles(tmp_path, shape, tied):
    folder = write(tmp_path, **(SHAPES[shape] | {"tie_word_embeddings": tied}))
    model, rng = load(folder, threads=2), np.random.default_rng(1)
    ids = rng.integers(0, model.config.vocab, 75)
    found = model.step(a_batch([(0, 0, ids)], table_of(rng, 1)))
    np.testing.assert_allclose(found, oracle.logits(folder, model.config, ids), rtol=0, atol=TOLERANCE)
    model.close()


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", ["plain", "bias", "norms by head"])
def test_quantised_logits_are_those_of_rounded_weights_and_inputs(tmp_path, shape, tied, weights):
    folder = write(tmp_path, **(SHAPES[shape] | {"tie_word_embeddings": tied}))
    model, rng = load(folder, weights=weights), np.random.default_rng(1)
    ids = rng.integers(0, model.config.vocab, 40)

    def matrix(values):
        return to_blocks(values.astype(np.float32), weights).dense()[:, : values.shape[1]].astype(np.float64)

    exact = oracle.logits(folder, model.config, ids, (matrix, bytes_of))
    off = model.step(a_batch([(0, 0, ids)], table_of(rng, 1))) - exact
    # Where float32 and float64 fall on two sides of a half, an input is a step off; what follows feels it.
    assert np.median(off.std(1)) < 0.02 * exact.std()
    model.close()


@pytest.mark.parametrize("shape", ["plain", "norms by head"])
def test_what_else_is_in_a_step_changes_rounding_only(tmp_path, short_rows, shape):
    folder, rng = write(tmp_path, **SHAPES[shape]), np.random.default_rng(2)
    model = load(folder)
    sequences = [rng.integers(0, 83, n) for n in (70, 33, 1, 90)]
    table = table_of(rng, 4)
    for _ in range(2):  # the second time, over what the first one left
        done, found = [0] * 4, [[] for _ in sequences]
        while any(d < len(ids) for d, ids in zip(done, sequences, strict=True)):
            parts = []
            for slot in rng.permutation(4):
                size = int(rng.choice([0, 1, 1, 2, 9, 40]))
                ids = sequences[slot][done[slot] : done[slot] + size]
                if len(ids):
                    parts.append((slot, done[slot], ids))
                    done[slot] += len(ids)
            if parts:
                rows = np.split(model.step(a_batch(parts, table)), np.cumsum([len(p[2]) for p in parts])[:-1])
                for (slot, _, _), logits in zip(parts, rows, strict=True):
                    found[slot].append(logits)
        for slot, ids in enumerate(sequences):
            exact = oracle.logits(folder, model.config, ids)
            np.testing.assert_allclose(np.concatenate(found[slot]), exact, rtol=0, atol=TOLERANCE)
        table = rng.permutation(table)
    model.close()


@pytest.mark.parametrize("seed", range(6))
def test_blocks_can_be_shared_copied_taken_away_and_given_again(tmp_path, short_rows, seed):
    """Random work on few slots and blocks; every logit is that of the oracle on the sequence alone."""
    folder, rng = write(tmp_path, num_hidden_layers=1), np.random.default_rng(seed)
    model = load(folder, n_blocks=30)
    texts = rng.integers(0, 83, (3, 64))
    exact = [oracle.logits(folder, model.config, ids) for ids in texts]
    table = np.full((4, 4), -1, np.int32)
    running, cold, free = {}, {}, list(range(30))  # slot -> [text, length]; (text, index) -> block; blocks
    for _ in range(60):
        for slot in [s for s in running if rng.random() < 0.1]:
            text, length = running.pop(slot)
            for index, block in enumerate(table[slot, : -(-length // BLOCK)].tolist()):
                full = (index + 1) * BLOCK <= length
                if full and (text, index) not in cold:
                    cold[text, index] = block
                elif block not in cold.values():
                    free.append(block)
        for slot in {0, 1, 2, 3} - set(running):
            text, length = int(rng.integers(3)), 0
            while (text, length // BLOCK) in cold and length < 48:  # a whole block is shared
                table[slot, length // BLOCK] = cold[text, length // BLOCK]
                length += BLOCK
            running[slot] = [text, length]
        if cold and rng.random() < 0.3:  # to a file and back, to another block
            key = list(cold)[rng.integers(len(cold))]
            if cold[key] not in table[list(running)]:
                content, new = model.read_block(cold[key]), free.pop(0)
                free.append(cold[key])
                if rng.random() < 0.5:
                    model.write_block(new, content)
                else:
                    model.copy_block(cold[key], new)
                cold[key] = new
        parts = []
        for slot, (text, length) in running.items():
            size = min(int(rng.choice([0, 1, 1, 1, 3, 20])), 64 - length)
            for index in range(-(-length // BLOCK), -(-(length + size) // BLOCK)):
                table[slot, index] = free.pop(0)
            if size:
                parts.append((slot, length, texts[text][length : length + size]))
                running[slot][1] += size
        if parts:
            found = model.step(a_batch(parts, table))
            expected = [exact[running[s][0]][start : start + len(ids)] for s, start, ids in parts]
            np.testing.assert_allclose(found, np.concatenate(expected), rtol=0, atol=TOLERANCE)
    model.close()


def test_a_copy_is_not_taken_for_what_its_block_holds_now(tmp_path):
    """Slot 1 reads a block of slot 0's, which then is filled anew, and read by slot 1 again."""
    model, rng = load(write(tmp_path)), np.random.default_rng(4)
    table = np.array([[0, 1], [0, 2]], np.int32)
    for _ in range(2):
        ids = rng.integers(0, 83, 17)
        expected = model.step(a_batch([(0, 0, ids)], table))[-1:]
        found = model.step(a_batch([(1, 16, ids[16:])], table))
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    model.close()


def test_blocks_are_put_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(3)
    model, ids = load(write(tmp_path)), rng.integers(0, 83, 40)
    table = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]], np.int32)
    model.step(a_batch([(0, 0, ids[:-1])], table))
    kept = [model.read_block(block) for block in range(3)]
    assert kept[0].shape == (model.block_bytes,)
    expected = model.step(a_batch([(0, 39, ids[-1:])], table))
    for block, content in enumerate(kept):
        model.write_block(3 + block, content)
        model.copy_block(3 + block, 6 + block)
    for slot in (1, 2):
        np.testing.assert_array_equal(model.step(a_batch([(slot, 39, ids[-1:])], table)), expected)
    np.testing.assert_array_equal(model.read_block(6), kept[0])
    with pytest.raises(InputError, match=f"a block is {model.block_bytes} bytes"):
        model.write_block(0, kept[0][:-1])
    model.close()


def test_only_wanted_logits_come_in_the_order_of_the_batch(tmp_path):
    model, ids = load(write(tmp_path)), np.arange(8)
    table = np.array([[0], [1]], np.int32)
    whole = model.step(a_batch([(0, 0, ids)], table))
    # Two slots token by token in turns, the later one first; of one only the last token is wanted.
    slot, place = np.tile([1, 0], 8), np.repeat(ids, 2)
    want = (slot == 1) | (place == 7)
    some = model.step(StepBatch(place, slot, place, place, want, table))
    np.testing.assert_allclose(some, whole[place[want]], rtol=0, atol=TOLERANCE)
    none = np.zeros(0)
    assert model.step(StepBatch(none, none, none, none, none, table)).shape == (0, 83)
    assert model.step(StepBatch(ids, ids * 0, ids, ids, ids < 0, table)).shape == (0, 83)
    model.close()


def test_a_place_may_be_written_again_with_a_gap_between(tmp_path):
    model, ids, table = load(write(tmp_path)), np.arange(20), np.array([[0, 1]], np.int32)
    expected = model.step(a_batch([(0, 0, ids)], table))
    found = model.step(a_batch([(0, 3, ids[3:5]), (0, 17, ids[17:])], table))
    np.testing.assert_allclose(found, expected[[3, 4, 17, 18, 19]], rtol=0, atol=TOLERANCE)
    model.close()


def test_a_poisoned_sequence_harms_no_other(tmp_path):
    model, ids = load(write(tmp_path)), np.arange(30)
    table = np.array([[0, 1], [2, 3]], np.int32)
    expected = model.step(a_batch([(0, 0, ids)], table))
    poison = np.full(model.block_bytes, 0xFF, np.uint8)
    for block in range(4):
        model.write_block(block, poison)
    mixed = model.step(a_batch([(1, 16, ids[:1]), (0, 0, ids)], table))
    assert np.isnan(mixed[0]).all()
    np.testing.assert_allclose(mixed[1:], expected, rtol=0, atol=TOLERANCE)
    model.close()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ((0, 0, [83]), "token 0 of the step cannot be computed: its id is outside the vocabulary"),
        ((1, 0, [1]), "no row in the block table"),
        ((0, 32, [1]), "its place is outside the block table"),
        ((0, 16, [1]), "a block before or at its place does not exist"),
    ],
)
def test_a_step_that_cannot_be_is_refused_and_the_next_one_runs(tmp_path, part, message):
    model, table = load(write(tmp_path)), np.array([[0, -1]], np.int32)
    good = a_batch([(0, 0, [1, 2, 3])], table)
    expected = model.step(good)
    with pytest.raises(InputError, match=message):
        model.step(a_batch([part], table))
    with pytest.raises(UnsupportedError, match="no rope_pos apart from kv_index"):
        model.step(StepBatch([1], [0], [0], [1], [True], table))
    np.testing.assert_array_equal(model.step(good), expected)
    model.close()
    model.close()
    with pytest.raises(InputError, match="closed"):
        model.step(good)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"n_blocks": 0}, "n_blocks"),
        ({"block_size": 0}, "block_size"),
        ({"kv": "int4"}, "kv"),
        ({"weights": "fp16"}, "weights"),
        ({"threads": 0}, "threads"),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path, settings, name):
    with pytest.raises(ParamError) as caught:
        load(write(tmp_path), **settings)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ("mixture", {}, "no mixture of experts: the graph has no router"),
        ("plain", {"kv": "int8"}, "no kv int8: "),
        ("nothing is a multiple of 16", {}, "heads of a multiple of"),
    ],
)
def test_what_the_operators_do_not_have_is_refused(tmp_path, shape, settings, message):
    with pytest.raises(UnsupportedError, match=message):
        load(write(tmp_path, **SHAPES[shape]), **settings)


def test_blocks_of_weights_need_a_width_of_32(tmp_path):
    folder = write(tmp_path, hidden_size=48, head_dim=16)
    load(folder).close()
    with pytest.raises(UnsupportedError, match="multiple of 32, got 48"):
        load(folder, weights="int4")


def test_weights_of_another_shape_are_refused(tmp_path):
    folder = write(tmp_path)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(settings | {"intermediate_size": 128}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"gate_proj.weight has shape \(96, 64\)"):
        load(folder)


def test_a_cache_that_cannot_fit_is_refused(tmp_path):
    with pytest.raises(MemoryPlanError):
        load(write(tmp_path), n_blocks=1 << 40)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_the_extra(monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("decoding.ort")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UnsupportedError, match=rf"needs {missing}, .*pip install 'forecast-platform\[lm\]'"):
        import_module("decoding.ort").OrtModel  # noqa: B018  # its look-up imports
