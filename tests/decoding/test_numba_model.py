"""Our back end: logits of the goldens and of the oracle, and the same bits however a step is cut."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from decoding.config import ModelConfig
from decoding.errors import InputError, MemoryPlanError, ParamError
from decoding.numba_model import NumbaModel
from decoding.quantize import to_blocks
from decoding.step import StepBatch
from forecast.kernels._jit import COMPILED
from tests.decoding import goldens
from tests.decoding.checkpoints import write
from tests.oracles import decoder as oracle

pytestmark = pytest.mark.skipif(not COMPILED, reason="instructions of the CPU, not of Python")

# float32 against float64 over a few layers of unit size; the goldens themselves are within 1.3e-5.
TOLERANCE = 5e-5
BLOCK = 16
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "tie_word_embeddings": True,
}
SHAPES = {
    "plain": {},
    "nothing is a multiple of 16": {
        "vocab_size": 37,
        "hidden_size": 36,
        "head_dim": 10,
        "num_attention_heads": 6,
        "intermediate_size": 50,
    },
    "one head, one layer": {"num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1},
    "many queries a key": {"num_attention_heads": 36, "num_key_value_heads": 1, "head_dim": 16},
    "bias": {"architectures": ["Qwen2ForCausalLM"]},
    "norms by head": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 24},
    "llama3 angles": {
        "rope_theta": 5e5,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "mixture": MIXTRAL,
    "mixture of 20, one picked": MIXTRAL | {"num_local_experts": 20, "num_experts_per_tok": 1},
}


def load(folder, **settings):
    return NumbaModel.load(folder, **({"n_blocks": 40, "block_size": BLOCK} | settings))


def table_of(rng, slots, width=8, n_blocks=40):
    """Blocks in no order."""
    return rng.permutation(n_blocks)[: slots * width].reshape(slots, width).astype(np.int32)


def a_batch(parts, table):
    """Tokens of (slot, start, ids), all of whose logits are wanted."""
    tokens = np.concatenate([ids for _, _, ids in parts])
    slot = np.concatenate([np.full(len(ids), s) for s, _, ids in parts])
    place = np.concatenate([np.arange(start, start + len(ids)) for _, start, ids in parts])
    return StepBatch(tokens, slot, place, place, np.ones(len(tokens), bool), table)


def in_pieces(model, ids, table, size, slot=0):
    parts = [(slot, start, ids[start : start + size]) for start in range(0, len(ids), size)]
    return np.concatenate([model.step(a_batch([part], table)) for part in parts])


@pytest.mark.shared
@pytest.mark.parametrize("name", goldens.MODELS)
def test_logits_of_the_goldens(name):
    model, table = load(goldens.model(name)), table_of(np.random.default_rng(0), 1)
    for case in goldens.read("logits")["models"][name]["cases"]:
        ids = np.array(case["tokens"])
        whole = model.step(a_batch([(0, 0, ids)], table))
        np.testing.assert_allclose(whole[-1], case["last_logits"], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(whole.mean(1), case["position_mean"], rtol=0, atol=TOLERANCE)
        clear = np.array(case["position_margin"]) > 1e-3
        np.testing.assert_array_equal(whole.argmax(1)[clear], np.array(case["position_argmax"])[clear])
        for size in (1, 5):
            np.testing.assert_array_equal(in_pieces(model, ids, table, size), whole)
    model.close()


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_of_every_shape_are_the_oracles(tmp_path, shape):
    folder = write(tmp_path, **SHAPES[shape])
    model, rng = load(folder, threads=2), np.random.default_rng(1)
    ids = rng.integers(0, model.config.vocab, 75)
    found = model.step(a_batch([(0, 0, ids)], table_of(rng, 1)))
    np.testing.assert_allclose(found, oracle.logits(folder, model.config, ids), rtol=0, atol=TOLERANCE)
    model.close()


def bytes_of(x):
    """Rows in blocks of 32 that keep 127 steps either way."""
    blocks = np.zeros((len(x), -(-x.shape[1] // 32) * 32))
    blocks[:, : x.shape[1]] = x
    blocks = blocks.reshape(len(x), -1, 32)
    steps = np.maximum(np.abs(blocks).max(2, keepdims=True) / 127, 1e-300)
    return (np.rint(blocks / steps) * steps).reshape(len(x), -1)[:, : x.shape[1]]


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("shape", ["plain", "mixture", "nothing is a multiple of 16"])
def test_quantised_logits_are_those_of_rounded_weights_and_inputs(tmp_path, shape, weights):
    folder = write(tmp_path, **SHAPES[shape])
    model, rng = load(folder, weights=weights), np.random.default_rng(1)
    ids = rng.integers(0, model.config.vocab, 40)

    def matrix(values):
        return to_blocks(values.astype(np.float32), weights).dense()[:, : values.shape[1]].astype(np.float64)

    exact = oracle.logits(folder, model.config, ids, (matrix, bytes_of))
    off = model.step(a_batch([(0, 0, ids)], table_of(rng, 1))) - exact
    # Where float32 and float64 fall on two sides of a half, an input is a step off; where that tips a
    # router, a token goes elsewhere. All that follow feel it: only the first are spared.
    assert off[:2].std() < 1e-6 * exact.std()
    assert np.median(off.std(1)) < 0.02 * exact.std()
    model.close()


def test_an_int8_cache_is_close_to_a_float32_one(tmp_path):
    folder, rng = write(tmp_path), np.random.default_rng(1)
    ids, table = rng.integers(0, 83, 100), table_of(rng, 1)
    exact, rough = (load(folder, kv=kv).step(a_batch([(0, 0, ids)], table)) for kv in ("fp32", "int8"))
    # Rows of keys and values keep 1 part in 250 of their largest number.
    assert 0 < np.abs(rough - exact).std() < 0.01 * exact.std()


@pytest.mark.parametrize(
    ("weights", "kv"), [("fp32", "fp32"), ("int8", "fp32"), ("int4", "int8"), ("int8", "int8")]
)
@pytest.mark.parametrize("shape", ["plain", "mixture", "norms by head"])
def test_a_token_does_not_see_what_else_is_in_its_step(tmp_path, shape, weights, kv):
    folder, rng = write(tmp_path, **SHAPES[shape]), np.random.default_rng(2)
    sequences = [rng.integers(0, 83, n) for n in (70, 33, 1, 90)]
    alone = load(folder, weights=weights, kv=kv)
    expected = [alone.step(a_batch([(0, 0, ids)], table_of(rng, 1))) for ids in sequences]
    for threads in (1, 2, 3):
        model, table = load(folder, weights=weights, kv=kv, threads=threads), table_of(rng, 4)
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
        for slot, logits in enumerate(expected):
            np.testing.assert_array_equal(np.concatenate(found[slot]), logits)
        model.close()


@pytest.mark.parametrize("kv", ["fp32", "int8"])
def test_blocks_can_be_copied_read_and_put_back(tmp_path, kv):
    rng = np.random.default_rng(3)
    model, ids = load(write(tmp_path), kv=kv), rng.integers(0, 83, 40)
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


def test_only_wanted_logits_come_and_no_token_is_no_work(tmp_path):
    model = load(write(tmp_path))
    table, ids = np.array([[0]], np.int32), np.arange(5)
    whole = model.step(a_batch([(0, 0, ids)], table))
    want = np.array([False, True, False, False, True])
    some = model.step(StepBatch(ids, np.zeros(5), ids, ids, want, table))
    np.testing.assert_array_equal(some, whole[want])
    none = np.zeros(0)
    assert model.step(StepBatch(none, none, none, none, none, table)).shape == (0, 83)
    model.close()


def test_angles_are_those_of_the_position_not_of_the_place(tmp_path):
    """Scores depend on differences of positions alone: shifted by 7, the logits are the same to rounding."""
    model, table = load(write(tmp_path)), np.array([[0, 1]], np.int32)
    ids, places = np.arange(20), np.arange(20)
    logits = [
        model.step(StepBatch(ids, np.zeros(20), places, places + shift, np.ones(20, bool), table))
        for shift in (0, 7)
    ]
    assert np.abs(logits[0] - logits[1]).max() < TOLERANCE
    assert not np.array_equal(*logits)
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
    np.testing.assert_array_equal(model.step(good), expected)
    model.close()


def test_a_poisoned_sequence_harms_no_other(tmp_path):
    """NaN in the keys and values of one slot stays there, also when its blocks are given to another."""
    model, ids = load(write(tmp_path)), np.arange(30)
    table = np.array([[0, 1], [2, 3]], np.int32)
    expected = model.step(a_batch([(0, 0, ids)], table))
    poison = np.full(model.block_bytes, 0xFF, np.uint8)
    for block in range(4):
        model.write_block(block, poison)
    model.write_block(2, poison)
    mixed = model.step(a_batch([(1, 16, ids[:1]), (0, 0, ids)], table))
    assert np.isnan(mixed[0]).all()
    np.testing.assert_array_equal(mixed[1:], expected)
    model.close()


def test_a_closed_model_says_so(tmp_path):
    model = load(write(tmp_path), threads=2)
    model.close()
    model.close()
    with pytest.raises(InputError, match="closed"):
        model.step(a_batch([(0, 0, [1])], np.array([[0]], np.int32)))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"n_blocks": 0}, "n_blocks"),
        ({"block_size": 8}, "block_size"),
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


def test_a_step_of_unequal_arrays_is_refused():
    with pytest.raises(InputError, match="one length"):
        StepBatch([1, 2], [0], [0, 1], [0, 1], [True, True], [[0]])


def test_the_sizes_are_those_of_the_checkpoint(tmp_path):
    folder = write(tmp_path)
    model = load(folder, threads=2)
    assert model.config == ModelConfig.from_folder(folder)
    assert (model.n_blocks, model.block_size, model.threads) == (40, BLOCK, 2)
    model.close()


def test_a_cache_that_cannot_fit_is_refused(tmp_path):
    with pytest.raises(MemoryPlanError) as caught:
        load(write(tmp_path), n_blocks=1 << 40)
    # 2 layers x 2 x 2 heads x 16 numbers of 4 bytes.
    assert caught.value.needed > (1 << 40) * BLOCK * 512 > caught.value.available


OTHER_CPUS = {
    "avx2": ("haswell", "+avx2,+avx,+fma,+sse4.2,+sse4.1,+ssse3,+sse3,+sse2,+sse,+popcnt"),
    "plain": ("x86-64", "+sse2,+sse"),
}
ON_ANOTHER_CPU = """
import sys
from pathlib import Path
import os
import platform
import subprocess
import sys

import numpy as np
from decoding.kernels.dot4 import WAYS
from tests.decoding.test_numba_model import a_batch, in_pieces, load
assert WAYS[0] == sys.argv[1], WAYS
folder, out = Path(sys.argv[2]), {}
for weights, kv in (("fp32", "fp32"), ("int8", "int8"), ("int4", "fp32")):
    model, table = load(folder, weights=weights, kv=kv), np.arange(8, dtype=np.int32)[None]
    ids = np.arange(70) % 83
    out[weights] = model.step(a_batch([(0, 0, ids)], table))
    np.testing.assert_array_equal(in_pieces(model, ids, table, 3), out[weights])
np.savez(sys.argv[3], **out)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names processors of one family")
@pytest.mark.parametrize("cpu", OTHER_CPUS)
def test_other_cpus_say_the_same(tmp_path, cpu):
    folder, name = (
        write(tmp_path / "model"),
        dict(zip(("CPU_NAME", "CPU_FEATURES"), OTHER_CPUS[cpu], strict=True)),
    )
    env = os.environ | {f"NUMBA_{key}": value for key, value in name.items()}
    command = [sys.executable, "-c", ON_ANOTHER_CPU, cpu, folder, tmp_path / "there.npz"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there, ids, table = (
        np.load(tmp_path / "there.npz"),
        np.arange(70) % 83,
        np.arange(8, dtype=np.int32)[None],
    )
    for weights, kv in (("fp32", "fp32"), ("int8", "int8"), ("int4", "fp32")):
        here = load(folder, weights=weights, kv=kv).step(a_batch([(0, 0, ids)], table))
        # A CPU without fused multiply-add rounds twice; that may move a byte of an activation by one.
        np.testing.assert_allclose(there[weights], here, rtol=0, atol=5e-5 if weights == "fp32" else 0.1)


@pytest.mark.parametrize("n", [1, 2])
def test_a_small_step_waits_for_its_embeddings(tmp_path, n):
    """All threads write them, to the same rows: a thread must not read before the last has written.

    Between two layers and three lie the waits of a layer; what is left over is the wait before the first.
    """
    waits = {}
    for layers in (2, 3):
        folder = write(tmp_path / str(layers), num_hidden_layers=layers)
        model = NumbaModel.load(folder, n_blocks=1, threads=2)
        zeros = np.zeros(n, np.int32)
        model.step(StepBatch(zeros, zeros, np.arange(n), zeros, zeros == 0, np.zeros((1, 1), np.int32)))
        waits[layers] = int(model._buffers._arrays["counters"][:8].view(np.int64)[0]) // 2
        model.close()
    assert waits[2] - 2 * (waits[3] - waits[2]) == 1
