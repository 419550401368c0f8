"""What `import decoding` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import decoding

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there():
    assert dir(decoding) == sorted(decoding.__all__)
    for name in decoding.__all__:
        assert getattr(decoding, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        decoding.Motor  # noqa: B018  # the look-up is the test


def test_the_import_loads_nothing_heavy():
    heavy = "{'numpy', 'numba', 'tokenizers', 'safetensors', 'rich', 'click'}"
    code = (
        f"import decoding, sys; dir(decoding); print(*{{n.partition('.')[0] for n in sys.modules}} & {heavy})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
