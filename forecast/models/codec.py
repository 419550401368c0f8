"""Records as bytes and back: the parameter record, schema 1 (`docs/contracts.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ArtifactError, InputError
from forecast.models.canonical_json import dumps, loads
from forecast.models.freq import Freq
from forecast.models.npz import MAX_CHUNK_BYTES, MAX_HEADER_BYTES, pack, unpack
from forecast.models.records import ExogTerm, Records
from forecast.models.soundness import flaw
from forecast.types import F64, I64

SCHEMA_VERSION = 1
KIND = "forecast.records"

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

# Every dense field: its type and number of dimensions, in the order of the file. Vectors are
# always there; matrices of no width are left out.
COLUMNS: dict[str, tuple[type[np.generic], int]] = {
    "start": (np.int64, 1),
    "nobs": (np.int32, 1),
    "family": (np.uint8, 1),
    "form": (np.uint8, 1),
    "status": (np.uint8, 1),
    "season_length": (np.int32, 1),
    "p": (np.int32, 1),
    "d": (np.int32, 1),
    "q": (np.int32, 1),
    "P": (np.int32, 1),
    "D": (np.int32, 1),
    "Q": (np.int32, 1),
    "phi": (np.float64, 2),
    "const": (np.float64, 1),
    "sigma2": (np.float64, 1),
    "levels": (np.float64, 2),
    "parcor": (np.float64, 2),
    "seasonal_phi": (np.float64, 2),
    "seasonal_parcor": (np.float64, 2),
    "theta": (np.float64, 2),
    "theta_parcor": (np.float64, 2),
    "seasonal_theta": (np.float64, 2),
    "seasonal_theta_parcor": (np.float64, 2),
    "slope": (np.float64, 1),
    "seasonal": (np.float64, 2),
    "beta": (np.float64, 2),
    "exog_tail": (np.float64, 3),
    "scale": (np.float64, 1),
    "transform": (np.uint8, 1),
    "innovations": (np.float64, 2),
    "loglik": (np.float64, 1),
    "n_params": (np.int32, 1),
    "n_used": (np.int32, 1),
    "ljung_box_p": (np.float64, 1),
    "margin": (np.float64, 1),
    "max_pole": (np.float64, 1),
    "oos_scale": (np.float64, 1),
    "oos_n": (np.int32, 1),
    "oos_coverage": (np.float64, 1),
}
# Ragged fields, kept as positions, row pointers and what they point into; left out when empty.
RAGGED: dict[str, type[np.generic]] = {"state_cov": np.float64, "param_cov": np.float64, "messages": np.uint8}

# Covariances come out of products of matrices; beyond this share of their size they are not symmetric
# by rounding but by mistake.
_SYMMETRY_TOLERANCE = 1e-9


def encode(records: Records) -> bytes:
    """Return `records` as one file; equal records give equal bytes.

    Of a covariance the lower triangle is kept. Raises `InputError` for what a reader would refuse.
    """
    ids = [plain_id(key) for key in records.ids]
    found = flaw(records) if ids else "there are no series"
    if found:
        raise InputError(f"cannot be stored: {found}")
    header = dumps(
        {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "freq": {"text": records.freq.text, "tz": records.freq.tz},
            "ids": ids,
            "exog": [[term.name, int(term.lag)] for term in records.exog],
        }
    )
    data = pack(header, {**_dense(records), **_ragged(records)})
    if len(header) > MAX_HEADER_BYTES or len(data) > MAX_CHUNK_BYTES:
        raise InputError(
            f"{records.n_series} records take {len(data)} bytes ({len(header)} of ids), a chunk holds "
            f"{MAX_CHUNK_BYTES} ({MAX_HEADER_BYTES}); store fewer in one chunk"
        )
    return data


def decode(data: bytes) -> Records:
    """Return the records of one file; `ArtifactError` says what is wrong with it and what to do.

    Sizes are bounded before anything is read, nothing is evaluated or unpickled, and what comes
    back is sound (see `forecast.models.soundness`).
    """
    raw, arrays = unpack(data)
    header = _header(raw)
    n = len(header["ids"])
    unknown = (
        arrays.keys()
        - COLUMNS.keys()
        - {f"{k}.{part}" for k in RAGGED for part in ("rows", "indptr", "data")}
    )
    if unknown:
        raise ArtifactError(
            f"has the member {min(unknown)[:64]!r}, which schema {SCHEMA_VERSION} does not know"
        )
    columns = {name: _column(arrays, name, n) for name in COLUMNS}
    records = Records(
        ids=_object_array(header["ids"]),
        freq=Freq(header["freq"]["text"], header["freq"]["tz"]),
        exog=tuple(ExogTerm(name, lag) for name, lag in header["exog"]),
        state_cov={i: _square(part) for i, part in _pieces(arrays, "state_cov").items()},
        param_cov={i: _square(part) for i, part in _pieces(arrays, "param_cov").items()},
        messages={i: _text(part) for i, part in _pieces(arrays, "messages").items()},
        **columns,
    )
    found = flaw(records)
    if found:
        raise ArtifactError(f"holds a record that cannot be used: {found}; train again")
    return records


def plain_id(key: object) -> str | int:
    """Return an id as plain text or int, of 64 bits at most; `InputError` for anything else."""
    if isinstance(key, str):
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the id {key!r} is not valid Unicode") from error
        return str(key)
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and -(2**63) <= key < 2**64:
        return int(key)
    raise InputError(f"an id must be text or a 64-bit int, got {key!r} of type {type(key).__name__}")


def _dense(records: Records) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    for name, (dtype, ndim) in COLUMNS.items():
        value = getattr(records, name)
        if value.dtype != dtype or value.ndim != ndim:
            raise InputError(
                f"record field {name!r} is {value.ndim}-d {value.dtype}, needs {ndim}-d {np.dtype(dtype)}"
            )
        if value.size:
            out[name] = value
    return out


def _ragged(records: Records) -> dict[str, NDArray[Any]]:
    pieces: dict[str, dict[int, NDArray[Any]]] = {
        "state_cov": {i: _lower("state_cov", records, i) for i in sorted(records.state_cov)},
        "param_cov": {i: _lower("param_cov", records, i) for i in sorted(records.param_cov)},
        "messages": {i: _utf8(records.messages[i]) for i in sorted(records.messages)},
    }
    out: dict[str, NDArray[Any]] = {}
    for name, parts in pieces.items():
        if parts:
            out[f"{name}.rows"] = np.array(list(parts), dtype=np.int32)
            out[f"{name}.indptr"] = np.cumsum([0, *(len(part) for part in parts.values())], dtype=np.int64)
            out[f"{name}.data"] = np.concatenate(list(parts.values()))
    return out


def _lower(name: str, records: Records, i: int) -> F64:
    cov: F64 = getattr(records, name)[i]
    gap = np.abs(cov - cov.T)
    if (gap > _SYMMETRY_TOLERANCE * np.abs(cov).max()).any():
        raise InputError(f"cannot be stored: {name} of series {records.ids[i]!r} is not symmetric")
    return np.asarray(cov[np.tril_indices(len(cov))], dtype=np.float64)


def _utf8(text: str) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(text.encode(), dtype=np.uint8)
    except UnicodeEncodeError as error:
        raise InputError(f"the message {text!r} is not valid Unicode") from error


def _header(raw: bytes) -> dict[str, Any]:
    try:
        header = loads(raw)
    except ValueError as error:
        raise ArtifactError(f"has a header that is not JSON ({error}); fetch the chunk again") from error
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise ArtifactError(f"is not a chunk of records: its header lacks the kind {KIND!r}")
    check_schema_version(header.get("schema_version"))
    if header.keys() != {"kind", "schema_version", "freq", "ids", "exog"}:
        raise ArtifactError(
            f"has a header with the keys {sorted(header)}, which is not schema {SCHEMA_VERSION}"
        )
    if not is_freq(header["freq"]) or not _are_ids(header["ids"]) or not _are_terms(header["exog"]):
        raise ArtifactError("has a header whose freq, ids or exog are not of schema 1; fetch the chunk again")
    return header


def check_schema_version(version: object) -> None:
    """Raise `ArtifactError` unless this platform reads `version`."""
    if type(version) is not int or version < 1:
        raise ArtifactError(f"states the schema version {version!r}, which is not one of ours")
    if version > SCHEMA_VERSION:
        raise ArtifactError(
            f"has schema version {version}, this platform reads up to {SCHEMA_VERSION}; "
            "upgrade forecast-platform"
        )


def is_freq(value: object) -> bool:
    """Whether `value` is a frequency as the header and the manifest write it."""
    return (
        isinstance(value, dict)
        and value.keys() == {"text", "tz"}
        and isinstance(value["text"], str)
        and isinstance(value["tz"], str | None)
    )


def _are_ids(ids: object) -> bool:
    return (
        isinstance(ids, list)
        and len(ids) > 0
        and all(type(key) is str or (type(key) is int and -(2**63) <= key < 2**64) for key in ids)
    )


def _are_terms(exog: object) -> bool:
    return isinstance(exog, list) and all(
        isinstance(term, list)
        and len(term) == 2
        and type(term[0]) is str
        and type(term[1]) is int
        and 0 <= term[1] < 2**31
        for term in exog
    )


def _object_array(ids: list[str | int]) -> NDArray[np.object_]:
    out = np.empty(len(ids), dtype=np.object_)
    out[:] = ids
    return out


def _column(arrays: Arrays, name: str, n: int) -> NDArray[Any]:
    dtype, ndim = COLUMNS[name]
    if name not in arrays and ndim > 1:
        return np.zeros((n, *[0] * (ndim - 1)), dtype=dtype)
    column = _member(arrays, name, dtype, ndim)
    if len(column) != n:
        raise ArtifactError(f"member {name!r} has {len(column)} rows for {n} ids; fetch the chunk again")
    return column


def _member(arrays: Arrays, name: str, dtype: type[np.generic], ndim: int) -> NDArray[Any]:
    array = arrays.get(name)
    if array is None:
        raise ArtifactError(f"has no member {name!r}; fetch the chunk again")
    if array.dtype != dtype or array.ndim != ndim:
        raise ArtifactError(
            f"member {name!r} is {array.ndim}-d {array.dtype}, needs {ndim}-d {np.dtype(dtype)}"
        )
    return array


def _pieces(arrays: Arrays, name: str) -> dict[int, NDArray[Any]]:
    """Cut a ragged field into its pieces by position; {} where the field is absent."""
    if not any(f"{name}.{part}" in arrays for part in ("rows", "indptr", "data")):
        return {}
    rows = _member(arrays, f"{name}.rows", np.int32, 1)
    indptr: I64 = _member(arrays, f"{name}.indptr", np.int64, 1)
    data = _member(arrays, f"{name}.data", RAGGED[name], 1)
    rising = (np.diff(indptr) >= 0).all() and (np.diff(rows) > 0).all()
    if len(indptr) != len(rows) + 1 or indptr[0] != 0 or indptr[-1] != len(data) or not rising:
        raise ArtifactError(f"has row pointers of {name!r} that do not fit; fetch the chunk again")
    return {int(i): data[indptr[k] : indptr[k + 1]] for k, i in enumerate(rows)}


def _square(packed: F64) -> F64:
    """Unpack a lower triangle of m (m + 1) / 2 values into a symmetric (m, m)."""
    m = (int(np.sqrt(8 * len(packed) + 1)) - 1) // 2
    if m < 1 or m * (m + 1) // 2 != len(packed):
        raise ArtifactError(f"has a covariance of {len(packed)} values, which is no triangle")
    out = np.zeros((m, m))
    row, column = np.tril_indices(m)
    out[row, column] = packed
    out[column, row] = packed
    return out


def _text(utf8: NDArray[np.uint8]) -> str:
    try:
        return utf8.tobytes().decode()
    except UnicodeDecodeError as error:
        raise ArtifactError("has a message that is not UTF-8; fetch the chunk again") from error
