"""Where the decoding goldens lie: beside the repository, never part of it."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "goldens" / "decoding"
MODELS = ("llama-tied", "llama-untied", "qwen2", "qwen3")


def need() -> Path:
    if not FOLDER.is_dir():
        reason = "needs ../shared/goldens/decoding, which is not part of the repository"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return FOLDER


@cache
def read(name: str):
    return json.loads((need() / "golden" / f"{name}.json").read_text(encoding="utf-8"))


def model(name: str) -> Path:
    return need() / "models" / name


def tokenizer(name: str) -> Path:
    return need() / "tokenizers" / name
