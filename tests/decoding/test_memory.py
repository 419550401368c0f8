"""A memory plan says what a model takes, to the byte where it can, and refuses what cannot fit."""

from __future__ import annotations

import pytest

from decoding import memory
from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.errors import MemoryPlanError, ParamError
from decoding.memory import GIB, available_bytes, kv_token_bytes, plan_memory, plan_table, weight_bytes
from decoding.numba_model import NumbaModel
from decoding.packing import load_packed
from tests.decoding.checkpoints import PLAIN, write

LLAMA_8B = ModelConfig(
    architecture="LlamaForCausalLM",
    vocab=128256,
    hidden=4096,
    n_layers=32,
    n_heads=32,
    n_kv_heads=8,
    head_size=128,
    mlp=14336,
    context=131072,
    norm_eps=1e-5,
    rope_theta=5e5,
)


def test_keys_and_values_of_llama_8b():
    # 2 x 32 layers x 8 heads x 128 numbers x 4096 tokens = 2^28 numbers.
    assert 4096 * kv_token_bytes(LLAMA_8B, "fp16") == GIB // 2
    assert 4096 * kv_token_bytes(LLAMA_8B, "fp32") == GIB
    assert plan_memory(LLAMA_8B, context=4096).kv == GIB


def test_weights_of_llama_8b():
    # 8.03 x 10^9 weights of 4 bytes, 8.5 bits and 4.5 bits; norms are little.
    for precision, bits in (("fp32", 32), ("int8", 8.5), ("int4", 4.5)):
        assert weight_bytes(LLAMA_8B, precision) == pytest.approx(8.03e9 * bits / 8, rel=1e-3)


@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
@pytest.mark.parametrize("experts", [0, 3])
def test_the_plan_is_what_is_loaded(tmp_path, weights, experts):
    name = "MixtralForCausalLM" if experts else "LlamaForCausalLM"
    folder = write(tmp_path, architectures=[name], num_local_experts=experts)
    packed = load_packed(Checkpoint(folder), weights)
    held = packed.n_bytes + sum(vector.nbytes for vector in packed.vectors.values())
    assert plan_memory(packed.config, weights=weights).weights == held


@pytest.mark.parametrize("kv", ["fp32", "int8"])
def test_the_cache_is_as_large_as_planned(tmp_path, kv):
    model = NumbaModel.load(write(tmp_path), kv=kv, n_blocks=3, block_size=16)
    assert model.block_bytes * 3 == plan_memory(model.config, kv=kv, context=48).kv
    model.close()


def test_what_cannot_fit_is_refused_with_numbers():
    plan = plan_memory(LLAMA_8B, weights="int4", context=4096, batch=2)
    plan.check(plan.total)
    plan.check(None)
    with pytest.raises(MemoryPlanError, match="2 sequences of 4096 tokens") as caught:
        plan.check(plan.total - 1)
    assert (caught.value.needed, caught.value.available) == (plan.total, plan.total - 1)


def test_the_plan_prints_its_parts():
    text = str(plan_memory(LLAMA_8B, weights="int4", context=4096, batch=2))
    assert "KV cache, 2 x 4096 tokens      2.000 GiB" in text
    assert text.splitlines()[-1].startswith("total")
    table = plan_table(LLAMA_8B, [4096], [1, 8])
    assert "   1 x    4096 tokens        1.000        0.500        0.258" in table
    assert "fp32 29.9" in table


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"weights": "int3"}, "weights"),
        ({"kv": "int4"}, "kv"),
        ({"context": 0}, "context"),
        ({"batch": 0}, "batch"),
        ({"step_tokens": -1}, "step_tokens"),
    ],
)
def test_bad_settings_are_refused_by_name(settings, name):
    with pytest.raises(ParamError) as caught:
        plan_memory(ModelConfig.from_settings(PLAIN), **settings)
    assert caught.value.name == name


def test_what_is_available_is_the_least_of_the_limits(monkeypatch):
    monkeypatch.setattr(memory, "_limits", lambda: iter([5, 3]))
    assert available_bytes() == 3
    monkeypatch.setattr(memory, "_limits", lambda: iter([]))
    assert available_bytes() is None


def test_this_machine_has_some_memory():
    found = available_bytes()
    assert found is None or found > 1 << 20


def test_the_refusal_says_what_would_fit():
    plan = plan_memory(LLAMA_8B, weights="int4", context=4096, batch=2)
    with pytest.raises(MemoryPlanError, match="2,048 tokens of KV cache would fit: lower context"):
        plan.check(plan.weights + plan.working + GIB // 2)
    with pytest.raises(MemoryPlanError, match="leave no room: take a lower precision"):
        plan.check(plan.weights)


def test_the_table_marks_what_does_not_fit():
    table = plan_table(LLAMA_8B, [4096], [1, 16], kv="int8", available=8 * GIB)
    last = next(line for line in reversed(table.splitlines()) if "16 x" in line)
    assert [cell.endswith("*") for cell in last.split()[-3:]] == [True, True, True]
    alone = table.splitlines()[-4]
    assert [cell.endswith("*") for cell in alone.split()[-3:]] == [True, True, False]
    assert table.endswith("there are 8.000 GiB; * does not fit")
    assert "*" not in plan_table(LLAMA_8B, [4096], [1])
