"""What each back end has: one table, which is printed, tested, and asked before something is refused."""

from __future__ import annotations

from typing import Final

from decoding.errors import ParamError, UnsupportedError
from forecast.errors import nearest

BACKENDS: Final = ("numba", "ort")
"""Names of the back ends; the first is the one taken where none is named."""

YES: Final = ""

FEATURES: Final[dict[str, dict[str, str]]] = {
    "weights fp32": {"numba": YES, "ort": YES},
    "weights int8": {"numba": YES, "ort": YES},
    "weights int4": {"numba": YES, "ort": YES},
    "kv fp32": {"numba": YES, "ort": YES},
    "kv int8": {"numba": YES, "ort": "the graph keeps keys and values in fp32"},
    "continuous batching": {"numba": YES, "ort": YES},
    "chunked prefill": {"numba": YES, "ort": YES},
    "prefix reuse": {"numba": YES, "ort": YES},
    "prefix reuse without a copy": {
        "numba": YES,
        "ort": "its attention reads contiguous rows, one a request",
    },
    "spill to a file": {"numba": YES, "ort": YES},
    "rope_pos apart from kv_index": {
        "numba": YES,
        "ort": "its attention counts positions from the row's start",
    },
    "mixture of experts": {"numba": YES, "ort": "the graph has no router"},
    "equal to the last bit": {"numba": YES, "ort": "its kernels depend on the number of rows"},
    "layers over processes": {"numba": YES, "ort": "the graph is one"},
    "export to ONNX": {"numba": "it has no graph", "ort": YES},
}
"""Feature, then back end, then "" or why it is not there."""


def choices(what: str) -> list[str]:
    """List the precisions that some back end has: of "weights", or of "kv"."""
    return [name.removeprefix(f"{what} ") for name in FEATURES if name.startswith(f"{what} ")]


def check_backend(backend: str) -> None:
    """Raise ParamError for a back end that is not known."""
    if backend not in BACKENDS:
        close = nearest(str(backend), BACKENDS)
        raise ParamError("backend", backend, f"be one of {', '.join(BACKENDS)}{close}")


def require(backend: str, feature: str) -> None:
    """Refuse what a back end does not have.

    Raises
    ------
    ParamError
        An unknown back end.
    UnsupportedError
        Says why, and which back end has it.
    """
    check_backend(backend)
    reason = FEATURES[feature][backend]
    if reason:
        having = [name for name in BACKENDS if not FEATURES[feature][name]]
        raise UnsupportedError(
            f"the {backend} back end has no {feature}: {reason}; {', '.join(having) or 'no back end'} has it"
        )


def table() -> str:
    """Write the matrix as a Markdown table, reasons below it."""
    lines = [f"| feature | {' | '.join(BACKENDS)} |", f"|---|{'---|' * len(BACKENDS)}"]
    reasons: list[str] = []
    for feature, held in FEATURES.items():
        cells = []
        for backend in BACKENDS:
            if held[backend]:
                reasons.append(f"{len(reasons) + 1}. {backend}, {feature}: {held[backend]}.")
                cells.append(f"no ({len(reasons)})")
            else:
                cells.append("yes")
        lines.append(f"| {feature} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *reasons])
