"""What the frames of the caller looked like, so that results look the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from forecast.errors import ArtifactError, nearest


@dataclass(frozen=True, slots=True)
class Schema:
    """Column names and types of a long frame.

    Parameters
    ----------
    id_col, time_col, target_col
        Names of the columns.
    id_dtype
        pandas name of the id dtype: "str", "object", "int64", "category".
    categories
        Of a categorical id, in their order; None otherwise.
    ordered
        Whether the categorical id is ordered.
    time_dtype
        Of the time stamps without zone: "datetime64[us]", "int64".
    tz
        Time zone of the time stamps, by name.
    freq_inferred
        True when the frequency was not given but found in the data: worth telling.
    exog
        Names of the regressors: what a future frame has to hold.
    """

    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"
    id_dtype: str = "object"
    categories: tuple[str | int, ...] | None = None
    ordered: bool = False
    time_dtype: str = "datetime64[ns]"
    tz: str | None = None
    freq_inferred: bool = False
    exog: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return plain values that JSON can hold; `from_json` is the inverse."""
        plain: dict[str, object] = asdict(self)
        plain["categories"] = None if self.categories is None else list(self.categories)
        plain["exog"] = list(self.exog)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, object]) -> Schema:
        """Return the schema that `to_json` wrote.

        Raises
        ------
        ArtifactError
            A key is unknown.
        """
        known = {field.name for field in fields(cls)}
        for key in plain:
            if key not in known:
                raise ArtifactError(f"frame schema has an unknown key {key!r}{nearest(key, known)}")
        values = dict(plain)
        categories = values.get("categories")
        if isinstance(categories, list):
            values["categories"] = tuple(categories)
        exog = values.get("exog", [])
        if not isinstance(exog, list) or not all(isinstance(name, str) for name in exog):
            raise ArtifactError(f"frame schema has exog {exog!r}, needs a list of names")
        values["exog"] = tuple(exog)
        return cls(**values)  # type: ignore[arg-type]  # names are checked above, types are those to_json wrote
