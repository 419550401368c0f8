"""An exported graph answers as the model does, in ONNX Runtime alone, with what its settings say."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from decoding.cli import main
from decoding.config import ModelConfig
from decoding.errors import CheckpointError, InputError, ParamError, UnsupportedError
from decoding.ort import OrtModel, export
from tests.bench.rival_loop import RIVALS
from tests.decoding import goldens
from tests.decoding.checkpoints import write
from tests.decoding.test_numba_model import MIXTRAL, a_batch

TOLERANCE = 5e-5


class Exported:
    """Runs a graph from its settings alone, as any runtime would; keys and values grow by concatenation."""

    def __init__(self, folder):
        self.settings = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]
        self.decoder = self.settings["decoder"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / self.decoder["filename"], options)
        outputs = self.decoder["outputs"]
        layers = range(self.decoder["num_hidden_layers"])
        kinds = ("key", "value")
        self.present = [outputs[f"present_{kind}_names"] % i for i in layers for kind in kinds]
        self.past = [self.decoder["inputs"][f"past_{kind}_names"] % i for i in layers for kind in kinds]

    def logits(self, rows):
        """Those of the last token of every row, a token at a time after the first half."""
        batch, n = rows.shape
        shape = batch, self.decoder["num_key_value_heads"], 0, self.decoder["head_size"]
        kept, start = [np.zeros(shape, np.float32)] * len(self.past), 0
        for stop in range(max(1, n // 2), n + 1):
            inputs = {
                "input_ids": rows[:, start:stop],
                "attention_mask": np.ones((batch, stop), np.int64),
                **dict(zip(self.past, kept, strict=True)),
            }
            logits, *kept = self.session.run(["logits", *self.present], inputs)
            start = stop
        assert logits.shape == (batch, 1, self.settings["vocab_size"])
        return logits[:, 0]


@pytest.mark.shared
@pytest.mark.parametrize("name", goldens.MODELS)
def test_logits_of_the_goldens(tmp_path, name):
    path = export(goldens.model(name), tmp_path / "graph")
    exported = Exported(path.parent)
    for case in goldens.read("logits")["models"][name]["cases"]:
        rows = np.array([case["tokens"]] * 2)
        for found in exported.logits(rows):
            np.testing.assert_allclose(found, case["last_logits"], rtol=0, atol=TOLERANCE)


# Runs in another environment: what onnxruntime-genai makes of the graph and of the settings we wrote.
GENAI = """
import json, sys
import numpy as np
import onnxruntime_genai as genai
model, answers = genai.Model(sys.argv[1]), []
for tokens in json.load(sys.stdin):
    params = genai.GeneratorParams(model)
    params.set_search_options(max_length=len(tokens) + 64)
    generator = genai.Generator(model, params)
    generator.append_tokens(np.array([tokens], np.int32))
    answers.append([])
    while not generator.is_done():
        generator.generate_next_token()
        answers[-1].append(int(generator.get_next_tokens()[0]))
print(json.dumps(answers))
"""


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not RIVALS.is_file(), reason="needs onnxruntime-genai: make rivals-decoding")
@pytest.mark.parametrize("name", goldens.MODELS)
def test_genai_answers_from_the_graph_and_the_settings_alone(tmp_path, name):
    export(goldens.model(name), tmp_path / "graph")
    cases = goldens.read("greedy")["models"][name]["cases"]
    command, asked = [str(RIVALS), "-c", GENAI, str(tmp_path / "graph")], [case["tokens"] for case in cases]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (end,) = ModelConfig.from_folder(goldens.model(name)).eos_ids
    for case, answer in zip(cases, json.loads(done.stdout), strict=True):
        expected = case["new_tokens"]
        stop = expected.index(end) + 1 if end in expected else len(expected)
        assert answer == expected[:stop]


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("tied", [True, False])
def test_rounded_weights_are_those_of_the_back_end(tmp_path, weights, tied):
    folder = write(tmp_path / "model", tie_word_embeddings=tied)
    exported = Exported(export(folder, tmp_path / "graph", weights=weights).parent)
    model, ids = OrtModel.load(folder, weights=weights, n_blocks=2), np.arange(20)
    expected = model.step(a_batch([(0, 0, ids)], np.array([[0, 1]], np.int32)))[-1]
    # Chunks of another size may round an activation's byte the other way.
    assert np.abs(exported.logits(ids[None])[0] - expected).std() < 0.02 * expected.std()
    size = (tmp_path / "graph" / "model.onnx.data").stat().st_size
    assert size < {"int8": 0.5, "int4": 0.4}[weights] * (folder / "model.safetensors").stat().st_size


def test_what_goes_with_the_graph(tmp_path):
    folder = write(tmp_path / "model", eos_token_id=[3, 4])
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    path = export(folder, tmp_path / "a" / "graph", context=100)
    assert {file.name for file in path.parent.iterdir()} == {
        "model.onnx", "model.onnx.data", "genai_config.json", "tokenizer.json",
    }  # fmt: skip
    settings = json.loads((path.parent / "genai_config.json").read_text(encoding="utf-8"))
    config = ModelConfig.from_folder(folder)
    assert settings["model"]["eos_token_id"] == [3, 4]
    assert settings["model"]["context_length"] == settings["search"]["max_length"] == 100
    assert settings["model"]["vocab_size"] == config.vocab
    assert export(folder, path.parent) == path  # over an earlier one


def test_what_cannot_be_exported_is_refused_and_nothing_written(tmp_path):
    folder = write(tmp_path / "model")
    for settings, error in (
        ({"weights": "fp16"}, ParamError),
        ({"context": 0}, ParamError),
        ({"context": 513}, ParamError),
    ):
        with pytest.raises(error):
            export(folder, tmp_path / "graph", **settings)
    with pytest.raises(InputError, match="a folder of its own"):
        export(folder, folder)
    with pytest.raises(CheckpointError, match="no such folder"):
        export(tmp_path / "nothing", tmp_path / "graph")
    with pytest.raises(UnsupportedError, match="no mixture of experts"):
        export(write(tmp_path / "mixture", **MIXTRAL), tmp_path / "graph")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        export(folder, tmp_path / "graph")
    assert not (tmp_path / "graph").exists()


def test_the_command_says_where_the_graph_is(tmp_path):
    folder = write(tmp_path / "model")
    where = ["export", "-m", str(folder), "-o", str(tmp_path / "graph"), "--weights", "int8"]
    done = CliRunner().invoke(main, where)
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / "graph" / "model.onnx"))
    failed = CliRunner().invoke(main, [*where, "--context", "0"])
    assert failed.exit_code == 1
    assert "decoding export: context must be from 1 to 512" in failed.stderr
