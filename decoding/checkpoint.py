"""A Hugging Face folder: its configuration and its weights, read through `safetensors`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from decoding.config import ModelConfig, read_object
from decoding.errors import CheckpointError
from decoding.step import F32
from forecast.errors import nearest

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_LONGEST_NAME = 255
_READABLE = ("F32", "F16", "BF16")


class Checkpoint:
    """The tensors of a folder, by name; nothing is read before it is asked for.

    Parameters
    ----------
    folder
        Holds `config.json` and `model.safetensors`, or the shards that `model.safetensors.index.json` names.

    Raises
    ------
    CheckpointError
        A file that is missing, truncated or no safetensors file; an unknown architecture.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not is_there(self.folder, Path.is_dir):
            raise CheckpointError(f"no such folder: {str(folder)!r}")
        self.config = ModelConfig.from_folder(self.folder)
        self._files: dict[str, Any] = {}
        self._file_of = self._shards()
        self._refuse_more_layers()

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def tensor(self, name: str, shape: tuple[int, ...]) -> F32:
        """Read one tensor as float32.

        Raises
        ------
        CheckpointError
            It is missing, of another shape, of a type we do not read, or has values that are not finite.
        """
        if name not in self._file_of:
            raise CheckpointError(f"{self.folder} has no tensor {name!r}{nearest(name, self._file_of)}")
        path = self._file_of[name]
        with _safetensors(path):
            view = self._files[path].get_slice(name)
            found, kind = tuple(view.get_shape()), view.get_dtype()
        if found != shape:
            raise CheckpointError(f"{name} has shape {found}, config.json asks for {shape}")
        if kind not in _READABLE:
            raise CheckpointError(f"{name} holds {kind}; readable are {', '.join(_READABLE)}")
        if kind == "BF16":
            values = _read_bfloat(Path(path), name, shape)
        else:
            with _safetensors(path):
                values = np.ascontiguousarray(self._files[path].get_tensor(name), dtype=np.float32)
        if not np.isfinite(values).all():
            raise CheckpointError(f"{name} has values that are not finite")
        return values

    def _shards(self) -> dict[str, str]:
        """Open all files, and say which holds which tensor."""
        index = read_object(self.folder / INDEX)
        if index is None:
            path = str(self.folder / WEIGHTS)
            return dict.fromkeys(self._open(path), path)
        if not isinstance(files := index.get("weight_map"), dict):
            raise CheckpointError(f"{INDEX} cannot be read: it has no weight_map")
        for file in files.values():  # before any is opened
            if not isinstance(file, str) or Path(file).name != file or len(file) > _LONGEST_NAME:
                raise CheckpointError(f"{INDEX} points outside the folder: {ascii(file)[:100]}")
        placed = {name: str(self.folder / file) for name, file in files.items()}
        inside = {path: set(self._open(path)) for path in sorted(set(placed.values()))}
        for name, path in placed.items():
            if name not in inside[path]:
                raise CheckpointError(f"{path} has no tensor {name!r}, which {INDEX} promises")
        return placed

    def _refuse_more_layers(self) -> None:
        """Refuse weights of layers that `config.json` does not speak of: without them it is another model."""
        for name in self._file_of:
            layer = re.match(r"model\.layers\.([0-9]{1,9})\.", name)
            if layer is not None and int(layer[1]) >= self.config.n_layers:
                raise CheckpointError(
                    f"there is a tensor {name!r}, config.json speaks of {self.config.n_layers} layers"
                )

    def _open(self, path: str) -> list[str]:
        if not is_there(Path(path), Path.is_file):
            raise CheckpointError(f"no weights at {path!r}")
        with _safetensors(path):
            self._files[path] = file = safe_open(path, framework="np")
            names: list[str] = list(file.keys())  # type: ignore[no-untyped-call]  # a class of Rust
            return names


def is_there(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Whether there is a file, or a folder, of a name that may be none at all."""
    try:
        return kind(path)
    except (OSError, ValueError):  # too long, a NUL, half a character
        return False


@contextmanager
def _safetensors(path: str) -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except (OSError, SafetensorError) as fault:
        raise CheckpointError(f"{path} is truncated or no safetensors file: {fault}") from fault


def _read_bfloat(path: Path, name: str, shape: tuple[int, ...]) -> F32:
    """Read a bfloat16 tensor, which NumPy has no type for; the library has checked the file's header."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        start, stop = json.loads(file.read(size))[name]["data_offsets"]
        file.seek(8 + size + start)
        words = np.frombuffer(file.read(stop - start), dtype="<u2").reshape(shape)
    return (words.astype(np.uint32) << 16).view(np.float32)
