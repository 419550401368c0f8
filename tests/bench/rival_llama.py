"""llama.cpp as a rival: a GGUF written here by gguf's writer, and steps through its C interface.

    python -m tests.bench.rival_llama write CHECKPOINT FILE.gguf
    python -m tests.bench.rival_llama serve FILE.gguf --threads 2

Runs in the environment of `make rivals-decoding`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from pathlib import Path

import numpy as np

from tests.bench.rival_loop import serve

PROMPT, STEPS, SLOTS = 128, 12, 16
# Their names for what a Hugging Face layer holds.
_PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_gguf(folder, file):
    """Write a Llama checkpoint with tied embeddings as their tool would as Q4_0.

    The embedding is the output layer too, which their tool keeps at 6 bits or more, and where rows are no
    multiple of 256 (as here) at 8: Q8_0.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    from safetensors.numpy import load_file

    settings = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    heads, kv_heads = settings["num_attention_heads"], settings["num_key_value_heads"]
    writer = GGUFWriter(file, "llama")
    writer.add_context_length(settings["max_position_embeddings"])
    writer.add_embedding_length(settings["hidden_size"])
    writer.add_block_count(settings["num_hidden_layers"])
    writer.add_feed_forward_length(settings["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(settings["rms_norm_eps"])
    writer.add_rope_freq_base(settings["rope_theta"])
    writer.add_rope_dimension_count(settings["hidden_size"] // heads)
    writer.add_vocab_size(settings["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    for name, found in load_file(Path(folder) / "model.safetensors").items():
        theirs = _name(name)
        turned = {"attn_q.": heads, "attn_k.": kv_heads}.get(theirs.removesuffix("weight")[-7:])
        tensor = found if turned is None else _interleaved(found, turned)
        if tensor.ndim == 1:
            writer.add_tensor(theirs, tensor)
            continue
        kind = GGMLQuantizationType.Q8_0 if theirs == "token_embd.weight" else GGMLQuantizationType.Q4_0
        writer.add_tensor(theirs, quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _name(name):
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_PARTS[part]}.weight"


def _interleaved(rows, heads):
    """Order the rows of queries or keys as their rotary embedding turns them: neighbours, not halves."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)


class Llama:
    """Its own loop below the Python classes: one `llama_decode` a step."""

    name = "llama.cpp q4_0"

    def __init__(self, file, threads):
        import llama_cpp

        self.api, self.threads = llama_cpp, threads
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            str(file).encode(), llama_cpp.llama_model_default_params()
        )
        self.context = llama_cpp.llama_init_from_model(self.model, self._settings())
        if not self.context:
            raise RuntimeError("llama.cpp could not make a context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.weight_bytes = llama_cpp.llama_model_size(self.model)
        self.facts = {"version": llama_cpp.__version__}
        rng = np.random.default_rng(0)
        self.prompt = rng.integers(0, self.vocab, PROMPT).tolist()
        self.next = rng.integers(0, self.vocab, (STEPS, SLOTS)).tolist()
        for slot in range(SLOTS):
            self.prefill(slot)

    def _settings(self):
        settings = self.api.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = SLOTS * 256, SLOTS
        settings.n_batch = settings.n_ubatch = settings.n_outputs_max = 512
        settings.n_threads = settings.n_threads_batch = self.threads
        return settings

    def prefill(self, slot=0):
        """Read the prompt; the logits of its last token."""
        self.api.llama_memory_seq_rm(self.memory, slot, -1, -1)
        self._step([(token, place, slot, place == PROMPT - 1) for place, token in enumerate(self.prompt)])
        return self._logits(PROMPT - 1)

    def ready(self, batch):
        """Forget what came after the prompts."""
        for slot in range(batch):
            self.api.llama_memory_seq_rm(self.memory, slot, PROMPT, -1)

    def decode(self, batch, step):
        """One token more for every sequence; their logits."""
        self._step([(token, PROMPT + step, slot, True) for slot, token in enumerate(self.next[step][:batch])])
        return [self._logits(i) for i in range(batch)]

    def _step(self, rows):
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, place, slot, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, place, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, slot
        if code := self.api.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode gave {code}")

    def _logits(self, i):
        found = self.api.llama_get_logits_ith(self.context, i)
        return np.ctypeslib.as_array(ctypes.cast(found, ctypes.POINTER(ctypes.c_float)), (self.vocab,))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("do", choices=["write", "serve"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.do == "write":
        write_gguf(*args.paths)
    else:
        serve(Llama(args.paths[0], args.threads))


if __name__ == "__main__":
    main()
