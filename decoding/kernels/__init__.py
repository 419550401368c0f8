"""Numba kernels of the forward pass: addresses and arrays in, nothing out; no exceptions, no logging.

Every floating-point sum is spelled out lane by lane (`decoding.kernels.lanes`), so that a token's numbers
depend on its own row alone: not on its batch, on the chunk it came in, on the number of threads, or on what
LLVM sees fit.
"""
