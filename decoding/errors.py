"""Everything `decoding` raises.

DecodingError
|-- InputError              the caller's arguments cannot be used
|   |-- ParamError          one sampling parameter or setting; `.name` says which
|   `-- PromptError         empty, longer than the context, or with ids outside the vocabulary
|-- CheckpointError         weights or settings missing, truncated, misshapen, or of an unknown architecture
|-- TokenizerError          a tokenizer that is missing, unreadable, or of a kind that is not supported
|-- MemoryPlanError         what was asked for cannot fit; the numbers are attributes
|-- UnsupportedError        a feature that the back end does not have
|-- NothingLeftError        every token is forbidden, or the logits are not numbers (`sampling.sampler`)
|-- StageError              a process of a pipeline failed or died (`pipeline`)
|-- CrewError               the threads of a model were interrupted at their work (`crew`)
`-- BlockError              a bug of ours in counting blocks (`blocks`)

A bad request never harms the others: it is refused before it takes anything, or ends alone.
"""

from __future__ import annotations


class DecodingError(Exception):
    """Base of every error raised by `decoding`; catch this one to catch all."""


class InputError(DecodingError, ValueError):
    """The caller's arguments cannot be used."""


class ParamError(InputError):
    """One parameter cannot be used.

    Parameters
    ----------
    name
        The parameter, as the caller spells it.
    value
        What was found.
    needed
        What it must be, to follow the word "must".
    """

    def __init__(self, name: str, value: object, needed: str) -> None:
        self.name = name
        self.value = value
        super().__init__(f"{name} must {needed}, got {value!r}")


class PromptError(InputError):
    """A prompt is empty, longer than the context, or holds ids outside the vocabulary."""


class CheckpointError(DecodingError):
    """A checkpoint cannot be read: missing, truncated, misshapen, or of an unknown architecture."""


class TokenizerError(DecodingError):
    """A tokenizer is missing, unreadable, or of a kind that is not supported."""


class MemoryPlanError(DecodingError):
    """What was asked for cannot fit.

    Parameters
    ----------
    needed, available
        In `unit`.
    fix
        What the caller can do about it.
    """

    def __init__(self, what: str, needed: int, available: int, unit: str = "bytes", fix: str = "") -> None:
        self.needed = needed
        self.available = available
        way_out = f"; {fix}" if fix else ""
        super().__init__(f"{what} needs {needed:,} {unit}, {available:,} are there{way_out}")


class UnsupportedError(DecodingError):
    """A feature that the back end does not have."""
