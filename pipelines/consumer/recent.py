"""What was seen not long ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Recent:
    """Keys that came last; memory is bounded by `size` keys."""

    size: int
    _order: deque[Hashable] = field(default_factory=deque)
    _keys: set[Hashable] = field(default_factory=set)

    def seen(self, key: Hashable) -> bool:
        """Return whether `key` is among the last `size` different keys, and remember it."""
        if self.size == 0:
            return False
        if key in self._keys:
            return True
        if len(self._order) == self.size:
            self._keys.discard(self._order.popleft())
        self._order.append(key)
        self._keys.add(key)
        return False
