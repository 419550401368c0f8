"""Numba kernels: arrays in, arrays out; no pandas, no exceptions, no logging."""
