"""The one door to numba: flags, and a disk cache that cannot be stale."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import llvmlite.binding
import llvmlite.ir
import numba
from numba import types
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, overload, register_model

__all__ = [
    "CACHED",
    "COMPILED",
    "SIMD_WIDTH",
    "Node",
    "cache_dir",
    "cpu_features",
    "exact_kernel",
    "intrinsic",
    "ir",
    "kernel",
    "kernel_sources",
    "large_kernel",
    "models",
    "out_of_line",
    "overload",
    "register_model",
    "source_digest",
    "types",
]

P = ParamSpec("P")
R = TypeVar("R")
Node: TypeAlias = Any
"""What numba and LLVM hand to a code generator."""

ir: Any = llvmlite.ir
"""What intrinsics are made of."""

# Reassociation lets LLVM vectorise sums. "nnan" and "ninf" stay out: with them
# np.isnan() is compiled to False, and a gap in the data would pass unseen.
FAST_SUMS = frozenset({"nsz", "arcp", "contract", "reassoc"})

# Every package that may hold numba code; its files are part of the cache key.
KERNEL_PACKAGES = ("forecast.kernels", "decoding.kernels", "pipelines.kernels")

COMPILED = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]  # set at run time
"""False: kernels run as plain Python (``NUMBA_DISABLE_JIT=1``)."""


def cpu_features() -> frozenset[str]:
    """Return LLVM's names of what the CPU can do that code is generated for, a part of the cache's key."""
    from numba.core.registry import cpu_target

    context: Any = cpu_target.target_context
    _, _, features = context.codegen().magic_tuple()
    return frozenset(name[1:] for name in features.split(",") if name.startswith("+"))


def kernel_sources() -> Iterator[Path]:
    """Yield every source file of every package named `kernels`."""
    for name in KERNEL_PACKAGES:
        top, _, sub = name.partition(".")
        spec = importlib.util.find_spec(top)  # the top only: finding a submodule would import its parent
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield from (Path(folder) / sub).rglob("*.py")


def _simd_width() -> int:
    """Lanes of float64 that the widest vector registers of this CPU hold; `FORECAST_SIMD_WIDTH` overrules."""
    if asked := os.environ.get("FORECAST_SIMD_WIDTH"):
        if asked not in ("1", "2", "4", "8"):
            raise ValueError(f"FORECAST_SIMD_WIDTH must be 1, 2, 4 or 8, got {asked!r}")
        return int(asked)
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 8
    return 4 if features.get("avx2") else 2


SIMD_WIDTH = _simd_width()
"""Float64 lanes of a vector in `forecast.kernels.simd`, a constant of the compiled code."""


def source_digest() -> str:
    """Return a digest of all kernel sources and of what else changes the machine code.

    Numba checks only the file that holds the outer function: after an edit to a
    kernel in another file it would go on serving the old machine code. Bounds
    checking is not part of its key either.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    digest.update(numba.__version__.encode())
    digest.update(str(SIMD_WIDTH).encode())
    for path in sorted(kernel_sources()):
        source = path.read_bytes()
        # Name and length too: code moved across the border of two files is a change.
        digest.update(f"{path.name} {len(source)} ".encode())
        digest.update(source)
    return digest.hexdigest()


def cache_dir() -> Path:
    """Return the folder of the machine code; `NUMBA_CACHE_DIR` moves its root.

    Raises
    ------
    OSError, RuntimeError
        Read-only file system, or an account without a home.
    """
    if moved := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(moved) / source_digest()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "forecast-platform" / "numba" / source_digest()


def _claim_cache() -> bool:
    """Point numba at the cache; False where nothing can be kept.

    Numba would then write beside the sources, where a cache can be stale, or refuse to import.
    """
    try:
        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):
        return False
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]  # set at run time
    return True


CACHED = _claim_cache()
"""False: every process compiles for itself."""


def kernel(fn: Callable[P, R]) -> Callable[P, R]:
    """Compile `fn` on first call, keep the machine code on disk, release the GIL.

    A kernel that calls another gets it inlined, always: else a process that compiles and one that
    loads from disk may run differently optimised copies, and differ in the last digits.
    """
    jit = numba.njit(cache=CACHED, nogil=True, error_model="numpy", fastmath=set(FAST_SUMS), forceinline=True)
    return cast("Callable[P, R]", jit(fn))


def intrinsic(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make `fn(typing_context, *types) -> (signature, codegen)` a function that kernels call."""
    return cast("Callable[..., Any]", _intrinsic(fn))


@intrinsic
def _mark_apart(_typing: Node) -> Node:
    """Forbid LLVM to inline the function that this is called in."""

    def codegen(context: Node, builder: Node, _signature: Node, _args: Node) -> Node:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


def _nothing() -> None:
    """Stand in for `out_of_line` where nothing is compiled."""


out_of_line: Callable[[], None] = _mark_apart if COMPILED else _nothing
"""Call it first in a `large_kernel` to have it compiled once, and called, however often it is used.

LLVM inlines what it likes, and a kernel that calls large ones in many places grows with their product:
the likelihood took 16 of 29 seconds that way, the search above it minutes.
"""


def large_kernel(fn: Callable[P, R]) -> Callable[P, R]:
    """Like `kernel`, but called where other kernels call it: for what would be copied many times over.

    A likelihood inlined into every step of a search took two minutes to compile; called, seconds.
    """
    # Said, for numba hands the flag of a caller down to what it compiles for it.
    jit = numba.njit(
        cache=CACHED, nogil=True, error_model="numpy", fastmath=set(FAST_SUMS), forceinline=False
    )
    return cast("Callable[P, R]", jit(fn))


def exact_kernel(fn: Callable[P, R]) -> Callable[P, R]:
    """Like `kernel`, with strict IEEE order of operations: for recursions where rounding decides."""
    jit = numba.njit(cache=CACHED, nogil=True, error_model="numpy", forceinline=True)
    return cast("Callable[P, R]", jit(fn))
