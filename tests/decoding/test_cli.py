"""`python -m decoding`: every command does what Python can do, and says what went wrong in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from decoding.cli import COMMANDS, main
from decoding.cli.generate import make_params
from decoding.errors import InputError, ParamError
from decoding.features import FEATURES, table
from tests.decoding import goldens

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def where():
    return ["-m", goldens.model("llama-tied"), "--tokenizer", goldens.tokenizer("bpe"), "--threads", 1]


def test_every_command_has_the_line_that_help_shows():
    for name, (_, line) in COMMANDS.items():
        command = main.get_command(None, name)
        assert command.name == name
        assert command.short_help == line
        assert run(name, "--help").exit_code == 0
        assert line in " ".join(run("--help").output.split())


def test_help_loads_nothing_heavy():
    code = "import sys; from decoding.cli import main; main(['--help'], standalone_mode=False); " + (
        "print(*{n.partition('.')[0] for n in sys.modules} & {'numpy', 'numba', 'rich', 'tokenizers'})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.splitlines()[-1]


def test_an_answer_is_shown_as_it_comes_and_counted_on_stderr(where):
    result = run("generate", *where, "-p", "def f(x):", "-n", 20)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("def f(x):")
    assert "20 tokens (length) after 5 of the prompt" in result.stderr
    assert "tokens/s; seed" in result.stderr


def test_the_long_name_of_n_and_json(where):
    case = goldens.read("greedy")["models"]["llama-tied"]["cases"][2]
    ids = ",".join(map(str, case["tokens"]))
    result = run(
        "generate", *where, "--ids", ids, "--num-predict", 64, "--ignore-eos", "--json", "--logprobs", 1
    )
    (output,) = json.loads(result.stdout)
    assert output["token_ids"] == case["new_tokens"]
    assert output["finish_reason"] == "length"
    assert [step["top"][0][0] for step in output["logprobs"]] == case["new_tokens"]


def test_several_prompts_are_answered_in_their_order(where):
    result = run("generate", *where, "-p", "import", "-p", "def", "-n", 4)
    assert result.exit_code == 0
    assert result.stdout.index("import") < result.stdout.index("def")
    assert result.stderr.count("tokens (") == 2


def test_ids_are_shown_where_there_is_no_tokenizer():
    result = run(
        "generate", "-m", goldens.model("qwen2"), "--threads", 1, "--ids", "3 4", "-n", 3, "--ignore-eos"
    )
    assert len(result.stdout.split()) == 3
    assert all(word.isdecimal() for word in result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-n", 4], 2, "at least one --prompt"),
        (["-p", ""], 1, "the prompt is empty"),
        (["-p", "x", "--top-p", 2], 1, "top_p must lie in (0, 1]"),
        (["-p", "x", "--set", "top_q=1"], 1, "did you mean 'top_"),
        (["--ids", "3,x"], 1, "whole numbers"),
        (["-p", "x", "--context", 4000], 1, "context must lie"),
    ],
    ids=["no-prompt", "empty", "top-p", "set", "ids", "context"],
)
def test_what_is_wrong_is_said_in_one_line(where, arguments, code, said):
    result = run("generate", *where, *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_folder_that_is_not_there_is_said():
    result = run("generate", "-m", "/nowhere", "-p", "x")
    assert result.exit_code == 1
    assert "config.json" in result.stderr or "folder" in result.stderr


def test_any_field_can_be_set():
    params = make_params(["min_p=0.1", 'logit_bias={"3": -1.5}', "stop_token_ids=[4]"], temperature=1.0)
    assert (params.min_p, params.logit_bias, params.stop_token_ids) == (0.1, {3: -1.5}, (4,))
    with pytest.raises(InputError, match="NAME=JSON"):
        make_params(["min_p"])
    with pytest.raises(InputError, match="JSON"):
        make_params(["min_p=x"])
    with pytest.raises(ParamError, match="logit_bias must"):
        make_params(['logit_bias={"x": 1}'])


def test_tokenize_shows_ids_and_texts(where):
    said = json.loads(
        run("tokenize", "--tokenizer", goldens.tokenizer("bpe"), "-p", "def f", "--json").stdout
    )
    assert said["text"] == "def f"
    back = run("tokenize", "--tokenizer", goldens.tokenizer("bpe"), "--ids", ",".join(map(str, said["ids"])))
    assert back.stdout == "def f\n"
    shown = run("tokenize", "--tokenizer", goldens.tokenizer("bpe"), "-p", "def f").stdout
    assert shown.endswith(f"{len(said['ids'])} tokens\n")
    assert run("tokenize", "-p", "x").exit_code == 2


def test_bench_measures(where):
    result = run(
        "bench", *where, "--batch", 1, "--batch", 3, "--prompt-tokens", 20, "-n", 4, "--rounds", 1, "--json"
    )
    rows = json.loads(result.stdout)
    assert [row["batch"] for row in rows] == [1, 3]
    assert all(row[key] > 0 for row in rows for key in ("prefill", "decode", "first", "cpu_share"))
    shown = run("bench", *where, "--batch", 2, "--prompt-tokens", 9, "-n", 2, "--rounds", 1)
    assert "decode tok/s" in shown.stdout


def test_features_are_shown():
    assert run("features").stdout.strip() == table()
    assert json.loads(run("features", "--json").stdout) == FEATURES


# As published with the weights of Llama-3.1-8B, without what does not change the shape.
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rope_theta": 500000.0,
    "vocab_size": 128256,
}


@pytest.mark.parametrize("alone", [True, False], ids=["file", "folder"])
def test_plan_needs_nothing_but_the_config(tmp_path, alone):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA_8B))
    where = file if alone else tmp_path
    shown = run("plan", "-m", where, "--context", 4096, "--batch", 1)
    assert shown.exit_code == 0, shown.output
    # 2 x 32 layers x 8 heads x 128 numbers x 4096 tokens = 2^28 numbers of 4, 2 or 1 bytes.
    assert "   1 x    4096 tokens        1.000        0.500        0.258" in shown.stdout
    said = json.loads(
        run("plan", "-m", where, "--context", 4096, "--batch", 1, "--kv", "fp16", "--json").stdout
    )
    assert {plan["kv_bytes"] for plan in said["plans"]} == {1 << 29}
    assert [plan["weights"] for plan in said["plans"]] == ["fp32", "int8", "int4"]
    assert "131072 tokens" in run("plan", "-m", where).stdout
    assert "context must be at least 1" in run("plan", "-m", where, "--context", 0).stderr
    assert "no file" in run("plan", "-m", tmp_path / "nothing.json").stderr


def test_the_plan_is_said_before_weights_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    result = run("generate", "-m", tmp_path, "--ids", "3", "--context", 64, "--weights", "int4", "-n", 1)
    assert "KV cache, 1 x 64 tokens" in result.stderr
    assert "no weights" in result.stderr.splitlines()[-1] or "are there;" in result.stderr
    result = run("generate", "-m", tmp_path, "--ids", "3", "--ids", "4")
    assert result.exit_code == 1
    assert "KV cache, 2 x 131072 tokens" in result.stderr


def test_the_answer_follows_its_plan(where):
    result = run("generate", *where, "-p", "def", "-n", 1)
    assert result.stderr.splitlines()[3].startswith("total")


@pytest.mark.parametrize("ids", ["-1", "99999", "99999999999999"])
def test_ids_outside_the_vocabulary_are_said(ids):
    result = run("tokenize", "-m", goldens.tokenizer("bpe"), "--ids", ids)
    assert result.exit_code == 1
    assert "--ids must be ids of the tokenizer" in result.stderr


def test_text_in_another_encoding_is_said(where):
    for result in (run("tokenize", *where[2:4], "-p", "\udcff"), run("generate", *where, "-p", "\udcff")):
        assert (result.exit_code, result.stdout) == (1, "")
        assert "the text is not valid Unicode" in result.stderr


def shell(*arguments, **settings):
    """Run a command with the buffers that a user's has."""
    command = [sys.executable, "-m", "decoding", *map(str, arguments)]
    buffered = {"env": {**os.environ, "PYTHONUNBUFFERED": ""}, **settings}
    return subprocess.run(
        command, cwd=ROOT, stderr=subprocess.PIPE, encoding="latin-1", check=False, **buffered
    )


def test_a_terminal_without_a_character_gets_its_number():
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUNBUFFERED": ""}
    done = shell("tokenize", *("-m", goldens.tokenizer("bpe"), "-p", "\u0160"), env=environment, stdout=-1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_an_output_that_cannot_be_written_is_said_and_a_reader_who_leaves_is_not():
    asked = ("tokenize", "-m", goldens.tokenizer("bpe"), "-p", "x")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = shell(*asked, stdout=full)
    assert (done.returncode, done.stderr) == (1, "decoding tokenize: No space left on device\n")
    reads, writes = os.pipe()
    os.close(reads)
    done = shell(*asked, stdout=writes)
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")
