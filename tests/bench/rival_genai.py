"""onnxruntime-genai as a rival, on the graph that `decoding.ort.export` writes.

    python -m tests.bench.rival_genai FOLDER --threads 2

Runs in the environment of `make rivals-decoding`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tests.bench.rival_loop import serve

PROMPT, STEPS, SLOTS = 128, 12, 16
# A batch cannot go back to its prompt: it goes on for so many measurements, then is made anew. It begins so
# much earlier that the mean depth is that of the others.
REUSED = 3
BEGIN = PROMPT - (REUSED - 1) * STEPS // 2


class Genai:
    """Its own generator: a step is the model and the choice of the largest logit."""

    name = "genai int4"

    def __init__(self, folder, threads):
        import onnxruntime_genai as genai

        self.genai, self.threads = genai, threads
        config = genai.Config(str(folder))
        options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self.model = genai.Model(config)
        self.weight_bytes = (Path(folder) / "model.onnx.data").stat().st_size
        self.facts = {"version": genai.__version__}
        settings = json.loads((Path(folder) / "genai_config.json").read_text(encoding="utf-8"))
        rng = np.random.default_rng(0)
        self.prompts = rng.integers(0, settings["model"]["vocab_size"], (SLOTS, PROMPT)).astype(np.int32)
        self.alone = self._generator(1)
        self.running = {}
        self.prefill()

    def _generator(self, batch):
        params = self.genai.GeneratorParams(self.model)
        params.set_search_options(batch_size=batch, max_length=2 * PROMPT, min_length=2 * PROMPT)
        return self.genai.Generator(self.model, params)

    def prefill(self):
        """Read the prompt; the logits of its last token."""
        self.alone.rewind_to(0)
        self.alone.append_tokens(self.prompts[:1])

    def ready(self, batch):
        """Have a batch at the depth of the prompt; not part of what is measured."""
        found = self.running.get(batch)
        if found is None or found.token_count() > BEGIN + (REUSED - 1) * STEPS + 1:
            found = self.running[batch] = self._generator(batch)
            found.append_tokens(self.prompts[:batch, :BEGIN])
            found.generate_next_token()  # chosen from the prompt's logits: the model does not run

    def decode(self, batch, step):
        """One token more for every sequence."""
        self.running[batch].generate_next_token()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    serve(Genai(args.folder, args.threads))


if __name__ == "__main__":
    main()
