"""Whole numbers among the settings: of the right kind, and within bounds."""

from __future__ import annotations

from numbers import Integral

from decoding.errors import ParamError


def whole_number(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """Return `value` as an int.

    Raises
    ------
    ParamError
        It is no whole number (true and false are none), or outside [least, most].
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ParamError(name, value, "be a whole number")
    number = int(value)
    if number < least:
        raise ParamError(name, value, f"be at least {least}")
    if most is not None and number > most:
        raise ParamError(name, value, f"be at most {most}")
    return number


def check_batch(max_batch: int, token_budget: int, spill_blocks: int) -> None:
    """Check what an engine has of its own, before a model is loaded for it.

    Raises
    ------
    ParamError
        Names the setting.
    """
    whole_number("max_batch", max_batch)
    whole_number("token_budget", token_budget)
    if token_budget < max_batch:
        raise ParamError("token_budget", token_budget, f"be at least max_batch, {max_batch}")
    whole_number("spill_blocks", spill_blocks, 0)
