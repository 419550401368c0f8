"""Our own models as systems under measurement: the shape, the prompts and the steps of all of them."""

from __future__ import annotations

import numpy as np

from decoding.loading import open_model
from decoding.step import StepBatch
from tests.bench.rival_loop import decode_all, timed

PROMPT, STEPS, BATCHES, BLOCK = 128, 12, (1, 8, 16), 32
BLOCKS_A_SLOT = -(-(PROMPT + STEPS) // BLOCK)


class Ours:
    """One of our back ends in this process, with the face of `Rival`."""

    def __init__(self, folder, backend, weights, threads):
        self.name, self.threads, self.facts = f"{backend} {weights}", threads, {}
        slots = max(BATCHES)
        sizes = {"weights": weights, "kv": "fp32", "threads": threads, "block_size": BLOCK}
        self.model = open_model(folder, backend, 1, n_blocks=slots * BLOCKS_A_SLOT, **sizes)
        self.table = np.arange(slots * BLOCKS_A_SLOT, dtype=np.int32).reshape(slots, -1)
        rng = np.random.default_rng(0)
        self.prompt = rng.integers(0, self.model.config.vocab, PROMPT)
        self.next = rng.integers(0, self.model.config.vocab, (STEPS, slots))
        for slot in range(slots):
            self.prefill(slot)

    def prefill(self, slot=0):
        """Read the prompt; the logits of its last token."""
        places = np.arange(PROMPT)
        return self.model.step(
            StepBatch(self.prompt, np.full(PROMPT, slot), places, places, places == PROMPT - 1, self.table)
        )

    def decode(self, batch, step):
        """One token more for every sequence; their logits."""
        places = np.full(batch, PROMPT + step)
        wanted = np.ones(batch, np.bool_)
        return self.model.step(
            StepBatch(self.next[step, :batch], np.arange(batch), places, places, wanted, self.table)
        )

    def prefill_rate(self, tokens):
        return timed(self.prefill, tokens)

    def decode_rate(self, batch, steps):
        return timed(lambda: decode_all(self, batch, steps), batch * steps)

    def close(self):
        self.model.close()
