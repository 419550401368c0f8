"""npz files, one member at a time, without pickle and without trust in what a header claims."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .errors import BundleError

# One member: the covariances of 10,000 series with a state of 40 are 128 MB.
MAX_MEMBER_BYTES: Final = 256 << 20
_DTYPES: Final = ("<f8", "<i8")


class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an npz file, each read when it is asked for.

    Raises
    ------
    BundleError
        On opening or reading: not an npz file, or a member that is not a plain array of float64 or int64.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._what = what
        try:
            self._zip = ZipFile(io.BytesIO(data))
        except (BadZipFile, ValueError, NotImplementedError) as error:
            raise BundleError(f"{what} is no npz file: {error}") from None
        self._names = {name.removesuffix(".npy"): name for name in self._zip.namelist()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array, read-only; KeyError where it is not there."""
        member = self._names[name]
        try:
            info = self._zip.getinfo(member)
            if info.file_size > MAX_MEMBER_BYTES:
                raise BundleError(
                    f"{self._what}: {name} has {info.file_size} bytes, at most {MAX_MEMBER_BYTES}"
                )
            return _array(self._zip.read(member))
        except (BadZipFile, ValueError, EOFError, SyntaxError, NotImplementedError, RuntimeError) as error:
            raise BundleError(f"{self._what}: {name} cannot be read: {error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def of_shape(self, name: str, dtype: str, *shape: int) -> NDArray[Any]:
        """Return an array that must be there, and of this dtype ("f8" or "i8") and shape (-1: any)."""
        if name not in self:
            raise BundleError(f"{self._what} has no {name}")
        found = self[name]
        fits = len(found.shape) == len(shape) and all(
            want in (-1, n) for n, want in zip(found.shape, shape, strict=True)
        )
        if not fits or found.dtype.str[1:] != dtype:
            raise BundleError(
                f"{self._what}: {name} is {found.dtype} {found.shape}, needs {dtype} {shape} (-1: any)"
            )
        return found


def _array(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    if npy.read_magic(stream) != (1, 0):
        raise ValueError("it is not npy format 1.0")
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    if dtype.str not in _DTYPES:
        raise ValueError(f"it holds {dtype}, needed is float64 or int64")
    start = stream.tell()
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"its header claims shape {shape}, which is not what it holds")
    flat = np.frombuffer(data, dtype=dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")
