"""A look over a step's tokens before it runs: every address the kernels will form is checked here."""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.types import I32, I64, Bool

BAD_TOKEN, BAD_SLOT, BAD_PLACE, BAD_BLOCK = -1, -2, -3, -4
"""What `plan_runs` returns instead of a count."""


@kernel
def plan_runs(
    tokens: I32,
    slot: I32,
    kv_index: I64,
    want_logits: Bool,
    block_table: I32,
    vocab: int,
    n_blocks: int,
    block_size: int,
    longest: int,
    runs: I64,
    wanted: I64,
) -> tuple[int, int]:
    """Cut the tokens into runs that follow each other place by place in one slot.

    Parameters
    ----------
    longest
        Most tokens of a run.
    runs
        (n, 2) written: first token and count of every run.
    wanted
        (n,) written: the tokens whose logits are wanted.

    Returns
    -------
    n_runs, n_wanted
        The first is negative, and the second the token, where a token, a slot, a place or a block does not
        exist.
    """
    n_runs = 0
    n_wanted = 0
    for t in range(len(tokens)):
        if tokens[t] < 0 or tokens[t] >= vocab:
            return BAD_TOKEN, t
        if slot[t] < 0 or slot[t] >= block_table.shape[0]:
            return BAD_SLOT, t
        if kv_index[t] < 0 or kv_index[t] >= block_table.shape[1] * block_size:
            return BAD_PLACE, t
        follows = t > 0 and slot[t] == slot[t - 1] and kv_index[t] == kv_index[t - 1] + 1
        first_block = kv_index[t] // block_size if follows else 0
        for b in range(first_block, kv_index[t] // block_size + 1):
            if block_table[slot[t], b] < 0 or block_table[slot[t], b] >= n_blocks:
                return BAD_BLOCK, t
        if follows and runs[n_runs - 1, 1] < longest:
            runs[n_runs - 1, 1] += 1
        else:
            runs[n_runs, 0] = t
            runs[n_runs, 1] = 1
            n_runs += 1
        if want_logits[t]:
            wanted[n_wanted] = t
            n_wanted += 1
    return n_runs, n_wanted
