"""Weights are read as they are stored, and what is missing, cut or misshapen is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from decoding.checkpoint import INDEX, WEIGHTS, Checkpoint
from decoding.errors import CheckpointError
from decoding.packing import load_packed
from tests.decoding.checkpoints import write

NORM = "model.norm.weight"


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "model")


def rewrite(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_a_tensor_is_read_as_float32(folder):
    expected = load_file(folder / WEIGHTS)[NORM]
    found = Checkpoint(folder).tensor(NORM, (64,))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_half_precision_is_widened(folder):
    exact = np.linspace(-2, 2, 64).astype(np.float16)
    rewrite(folder, lambda tensors: tensors.update({NORM: exact}))
    np.testing.assert_array_equal(Checkpoint(folder).tensor(NORM, (64,)), exact.astype(np.float32))


def test_bfloat16_is_widened(tmp_path, folder):
    # By hand: 1.5 is 0x3fc0, -2 is 0xc000 in bfloat16.
    header = json.dumps({NORM: {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    words = np.array([0x3FC0, 0xC000], "<u2").tobytes()
    (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + words)
    np.testing.assert_array_equal(Checkpoint(folder).tensor(NORM, (2,)), [1.5, -2.0])


def test_shards_are_read_through_their_index(folder):
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    index = {}
    for part, chosen in enumerate((names[::2], names[1::2])):
        save_file({name: tensors[name] for name in chosen}, folder / f"part-{part}.safetensors")
        index |= dict.fromkeys(chosen, f"part-{part}.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": index}), encoding="utf-8")
    checkpoint = Checkpoint(folder)
    assert all(name in checkpoint for name in names)
    for name in names:
        np.testing.assert_array_equal(checkpoint.tensor(name, tensors[name].shape), tensors[name])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "cannot be read"),
        ('{"weight_map": {"a": "../model.safetensors"}}', "outside the folder"),
        ('{"weight_map": {"a": "model.safetensors"}}', "has no tensor 'a'"),
        ('{"weight_map": {"a": "other.safetensors"}}', "no weights at"),
        ('{"weight_map": {"a": "../other.safetensors"}}', "outside the folder"),
        ('{"weight_map": {"a": "' + "a" * 5000 + '"}}', "outside the folder"),
        ('{"weight_map": {"a": "\\udc80\\u0000"}}', "no weights at"),
        ('{"weight_map": {"a": "\\udc80"}}', "no weights at"),
        ('{"weight_map": {"a": 5}}', "outside the folder"),
        ('{"weight_map": 5}', "no weight_map"),
        ("[" * 100_000, "cannot be read"),
    ],
    ids=range(11),
)
def test_an_index_that_does_not_hold_is_refused(folder, index, message):
    (folder / INDEX).write_text(index, encoding="utf-8")
    (folder.parent / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    with pytest.raises(CheckpointError, match=message) as caught:
        Checkpoint(folder)
    str(caught.value).encode()


def test_no_folder_and_no_weights(tmp_path, folder):
    with pytest.raises(CheckpointError, match="no such folder"):
        Checkpoint(tmp_path / "elsewhere")
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="no weights at"):
        Checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_truncated_file_is_refused(folder, keep):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
        Checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("model.layers.1.mlp.up_proj.weight"),
            "has no tensor 'model.layers.1.mlp.up_proj.weight'",
        ),
        (lambda t: t.update({NORM: t[NORM][:-1]}), r"shape \(63,\), config.json asks for \(64,\)"),
        (lambda t: t.update({NORM: t[NORM].astype(np.int32)}), "holds I32"),
        (lambda t: t[NORM].__setitem__(3, np.nan), "not finite"),
        (lambda t: t.pop("lm_head.weight"), "has no tensor 'lm_head.weight'"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_packed(Checkpoint(folder), "fp32")


def test_layers_that_the_configuration_does_not_speak_of_are_refused(folder):
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(settings | {"num_hidden_layers": 1}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"a tensor 'model.layers.1.*speaks of 1 layers"):
        Checkpoint(folder)
