"""The pool of blocks that holds the KV cache: who uses which."""

from __future__ import annotations

from typing import Final

from decoding.errors import DecodingError

BLOCK_SIZE: Final = 32
"""Tokens of a block where nobody says: short beginnings can be shared, and tables stay short."""


class BlockError(DecodingError):
    """A block was given back that nobody holds, or shared that nobody holds: a bug of ours."""


class BlockPool:
    """Counts the users of every block; a block without users is free.

    Parameters
    ----------
    n_blocks
        Blocks are named 0 .. n_blocks - 1.
    """

    def __init__(self, n_blocks: int) -> None:
        self._users = [0] * n_blocks
        self._free = list(range(n_blocks - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._users)

    @property
    def n_free(self) -> int:
        """Blocks that nobody holds."""
        return len(self._free)

    def users(self, block: int) -> int:
        """How many hold the block."""
        return self._users[block]

    def take(self) -> int | None:
        """Take a free block, now with one user; None where there is none."""
        if not self._free:
            return None
        block = self._free.pop()
        self._users[block] = 1
        return block

    def share(self, block: int) -> None:
        """One more user."""
        if self._users[block] < 1:
            raise BlockError(f"block {block} is free, it cannot be shared")
        self._users[block] += 1

    def release(self, block: int) -> int:
        """One user less; returns how many are left."""
        if self._users[block] < 1:
            raise BlockError(f"block {block} is free already")
        self._users[block] -= 1
        if not self._users[block]:
            self._free.append(block)
        return self._users[block]
