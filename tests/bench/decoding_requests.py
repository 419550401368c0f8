"""What a caller of the engine sees: many requests at once against one at a time, and the first token."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from decoding import Engine, SamplingParams
from tests.bench.rival_loop import ROOT, timed

N_REQUESTS = 32

_FIRST = """
import json, sys, time
def now():
    return time.perf_counter(), time.process_time()
begun = now()
from decoding import Engine, SamplingParams
import decoding.numba_model  # else it would count as reading the checkpoint
imported = now()
with Engine.load(sys.argv[1], weights="int4", threads=1, max_batch=1) as engine:
    loaded = now()
    engine.generate([3, 4, 5, 6], SamplingParams(max_new_tokens=1))
    ended = now()
print(json.dumps([begun, imported, loaded, ended]))
"""


def mixed_requests(vocab):
    """Prompts of 8 to 64 tokens, answers of 4 to 32."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, vocab, n).tolist() for n in rng.integers(8, 65, N_REQUESTS)]
    answers = rng.integers(4, 33, N_REQUESTS)
    return prompts, [SamplingParams(max_new_tokens=int(n), ignore_eos=True) for n in answers]


def batching_line(folder, weights, threads, floor):
    """Rates of all requests together and one at a time; the tokens must be the same ones."""
    settings = {"context": 128, "max_batch": 16, "share_prefixes": False}
    with Engine.load(folder, weights=weights, threads=threads, **settings) as engine:
        prompts, params = mixed_requests(engine.model.config.vocab)
        engine.generate(prompts[:2], params[:2], progress=False)  # compiled and mapped outside the clock
        count = sum(each.max_new_tokens for each in params)
        answers = {}

        def together():
            answers["together"] = engine.generate(prompts, params, progress=False)

        def alone():
            answers["alone"] = [engine.generate(p, s)[0] for p, s in zip(prompts, params, strict=True)]

        fast, slow = timed(together, count), timed(alone, count)
    if [o.token_ids for o in answers["together"]] != [o.token_ids for o in answers["alone"]]:
        raise RuntimeError("the answers depend on their company")
    by = 1 if threads == 1 else 0
    line = {
        "what": f"{weights}: batched / one at a time", "threads": threads, "case": f"{N_REQUESTS} requests",
        "ratio": fast[by] / slow[by], "wall": fast[0], "cpu": fast[1],
    }  # fmt: skip
    if floor is not None:
        line |= {"floor": floor, "passed": line["ratio"] >= floor}
    return line


def first_token_line(folder, floor, rounds=5):
    """Import and first token, in new processes with warm caches; the checkpoint's reading is shown apart.

    The best of some by wall time: the one that other work disturbed least.
    """
    command = [sys.executable, "-c", _FIRST, str(folder)]
    taken = []
    for _ in range(rounds + 1):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        spent = np.diff(json.loads(done.stdout), axis=0)  # (import, load, first token) x (wall, CPU)
        taken.append((spent[0] + spent[2], spent))
    # The very first one warms the caches.
    (wall, cpu), spent = min((total.tolist(), parts.tolist()) for total, parts in taken[1:])
    return {
        "what": "import + first token, s", "threads": 1, "case": "warm", "ratio": wall, "cpu_s": cpu,
        **{f"{part}_s": each[0] for part, each in zip(("import", "load", "first"), spent, strict=True)},
        "floor": floor, "passed": wall <= floor,
    }  # fmt: skip
