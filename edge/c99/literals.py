"""Numbers, names and comments as C99 text that means exactly the same."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# C99 promises that 63 initial characters of an internal name count; the longest suffix here has 24.
_LONGEST_NAME = 32
# Characters of an id that cannot end a comment, begin a trigraph or continue a line.
_PLAIN = re.compile(r"[^A-Za-z0-9 ._:+#@()\[\]=<>,;|-]")
_COLUMNS = 100


def identifier(name: object) -> str:
    """Return `name`, which begins every C name of a header.

    Raises
    ------
    InputError
        It is not a C identifier of at most 32 characters.
    """
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"name must be a C identifier of at most {_LONGEST_NAME} letters, digits and _, got {name!r}"
        )
    return name


def real(value: float) -> str:
    """Return a double as a hexadecimal constant, which every compiler reads to the last bit; NaN is NAN."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        raise InputError("a coefficient is infinite; train again")
    if value == 0.0:
        return "0.0"
    return value.hex() if not float(value).is_integer() or abs(value) > 1e6 else f"{value:.1f}"


def comment(text: str) -> str:
    """Return text that may stand in a comment, whatever was in it."""
    return _PLAIN.sub("_", text)[:80]


def array(declaration: str, values: NDArray[np.generic]) -> str:
    """Return a static constant array; `values` of one or two dimensions, floats or whole numbers."""
    shape = "".join(f"[{k}]" for k in values.shape)
    if values.ndim == 1:
        body = _lines((_text(v) for v in values.tolist()), "    ")
    else:
        body = ",\n".join("    {\n" + _lines(_text(v) for v in row) + "\n    }" for row in values.tolist())
    return f"static const {declaration}{shape} = {{\n{body}\n}};\n"


def _text(value: float | int) -> str:
    return real(value) if isinstance(value, float) else format(value, "d")


def _lines(numbers: Iterable[str], indent: str = " " * 8) -> str:
    return textwrap.fill(", ".join(numbers), _COLUMNS, initial_indent=indent, subsequent_indent=indent)
