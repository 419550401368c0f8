"""Answers piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from decoding.output import Output, Piece
from decoding.request import Request


class Stream(Iterator[Piece]):
    """The pieces of some answers, as they come; each answer ends with a piece that holds all of it.

    What has not ended is given up when the stream is closed or dropped, whether it was begun or not.

    Parameters
    ----------
    requests
        What to follow; an answer that is there already (a refused request) comes first.
    step
        Moves all requests on.
    give_up
        Ends requests that have not ended.
    """

    def __init__(
        self,
        requests: Sequence[Request | Output],
        step: Callable[[], object],
        give_up: Callable[[Sequence[Request | Output]], None],
    ) -> None:
        self._requests, self._give_up = requests, give_up
        self._pieces = _pieces(requests, step)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Piece:
        try:
            return next(self._pieces)
        except BaseException:  # the end, or what a step raises
            self.close()
            raise

    def close(self) -> None:
        """Give up what has not ended; a second call does nothing."""
        self._give_up(self._requests)
        self._pieces.close()

    def __del__(self) -> None:
        self._give_up(self._requests)


def _pieces(requests: Sequence[Request | Output], step: Callable[[], object]) -> Generator[Piece, None, None]:
    index = {}
    for i, request in enumerate(requests):
        if isinstance(request, Request):
            index[request] = i
        else:
            yield Piece(i, (), "", request)
    shown = dict.fromkeys(index, 0)
    while index:
        moved = [r for r in index if r.finished or r.n_output > shown[r]]  # by whoever made the step
        if not moved:
            step()
        for request in moved:
            new = tuple(request.tokens[request.prompt_length + shown[request] :])
            shown[request] += len(new)
            output = request.output() if request.finished else None
            yield Piece(index[request], new, request.rules.show(), output)
            if output is not None:  # the request itself may have ended while the caller had the piece
                del index[request]
