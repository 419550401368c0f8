"""A checkpoint's folder to a graph in files, for ONNX Runtime anywhere and for onnxruntime-genai."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.errors import InputError, ParamError
from decoding.ort.graph import Graph, past, present
from decoding.ort.tensors import DATA_FILE
from decoding.quantize import check_precision

MODEL_FILE: Final = "model.onnx"
GENAI_FILE: Final = "genai_config.json"

_TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def export(folder: str | Path, out: str | Path, *, weights: str = "fp32", context: int | None = None) -> Path:
    """Write `model.onnx`, `model.onnx.data` (the weights), `genai_config.json`, and the tokenizer there is.

    The graph takes `input_ids` and `attention_mask` (batch, tokens), and keys and values of every layer, in
    buffers that past and present may share; it gives the logits of the last token of each row.

    Parameters
    ----------
    folder
        A checkpoint in the format of Hugging Face.
    out
        A folder, made if need be; must not be `folder`.
    weights
        "fp32", "int8" or "int4".
    context
        For how many positions; None: as the model was made for.

    Returns
    -------
    The path of the graph.

    Raises
    ------
    CheckpointError, ParamError, UnsupportedError
        What cannot be read; a parameter that cannot be used; what the graph has no operators for.
    """
    precision = check_precision("weights", weights)
    folder, out = Path(folder), Path(out)
    checkpoint = Checkpoint(folder)
    context = checkpoint.config.context if context is None else context
    if not 1 <= context <= checkpoint.config.context:
        raise ParamError("context", context, f"be from 1 to {checkpoint.config.context}")
    if out.exists() and (not out.is_dir() or out.samefile(folder)):
        raise InputError(f"{out} must be a folder of its own")
    graph = Graph(checkpoint, precision, context)
    model = graph.model("standard")
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL_FILE).unlink(missing_ok=True)
    with (out / DATA_FILE).open("wb") as file:
        for offset, values in graph.tensors.parts():
            file.seek(offset)
            values.tofile(file)
    settings = json.dumps(genai_settings(checkpoint.config, context), indent=2)
    (out / GENAI_FILE).write_text(f"{settings}\n", encoding="utf-8")
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    # The last of all: where it is, the rest is, and of the same model.
    (out / MODEL_FILE).write_bytes(model.SerializeToString())
    return out / MODEL_FILE


def genai_settings(config: ModelConfig, context: int) -> dict[str, Any]:
    """Say what onnxruntime-genai has to know of the graph."""
    keys, values = (name.replace(".0.", ".%d.") for name in past(0))
    new_keys, new_values = (name.replace(".0.", ".%d.") for name in present(0))
    ends = list(config.eos_ids) or [0]
    decoder = {
        "session_options": {"provider_options": []},
        "filename": MODEL_FILE,
        "head_size": config.head_size,
        "hidden_size": config.hidden,
        "num_attention_heads": config.n_heads,
        "num_hidden_layers": config.n_layers,
        "num_key_value_heads": config.n_kv_heads,
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": keys,
            "past_value_names": values,
        },
        "outputs": {"logits": "logits", "present_key_names": new_keys, "present_value_names": new_values},
    }
    return {
        "model": {
            "type": "llama",
            "vocab_size": config.vocab,
            "context_length": context,
            "bos_token_id": ends[0] if config.bos_id is None else config.bos_id,
            "eos_token_id": ends,
            "pad_token_id": ends[0],
            "decoder": decoder,
        },
        "search": {
            "do_sample": False,
            "max_length": context,
            "num_beams": 1,
            "past_present_share_buffer": True,
        },
    }
