"""How fast memory can be read, by a loop that does nothing else: the limit of a batch of one."""

from __future__ import annotations

import time

from decoding.crew import Crew
from decoding.kernels.lanes import I32S, I64, lane_program
from decoding.packing import aligned_zeros
from forecast.kernels._jit import large_kernel

_LINES = 8


@lane_program("ii", "i")
def _read(lanes, address, n_bytes):
    b = lanes.builder

    def body(i, acc):
        at = lanes.times(i, 64 * _LINES)
        return [b.xor(acc[k], lanes.load(I32S, address, lanes.move(at, 64 * k))) for k in range(_LINES)]

    count = b.sdiv(n_bytes, lanes.whole(64 * _LINES))
    found = lanes.loop(count, [lanes.splat_whole(0)] * _LINES, body)
    together = found[0]
    for vector in found[1:]:
        together = b.xor(together, vector)
    return b.sext(lanes.fold(together, b.xor), I64)


@large_kernel
def read_all(address, n_bytes):
    return _read(address, n_bytes)


class Reader:
    """Reads `n_bytes`, split over threads, as often as asked."""

    def __init__(self, n_bytes, threads):
        self.content, self.crew = aligned_zeros(n_bytes), Crew(threads)
        self.content[:] = 1  # zeros that nobody wrote are one page
        self.part = n_bytes // threads // 512 * 512
        self.read()

    def read(self):
        start = self.content.ctypes.data
        self.crew.run(lambda thread: read_all(start + thread * self.part, self.part))

    def rates(self):
        """GB/s by wall time, and by CPU time of one thread."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.read()
        size = self.part * self.crew.n_threads / 1e9
        return size / (time.perf_counter() - wall), size / (time.process_time() - cpu)
