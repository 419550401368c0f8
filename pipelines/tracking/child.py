"""The process with MLflow in it: ``python -m pipelines.tracking.child URI``, started by `Tracker`.

One JSON request a line on stdin, one answer a line on stdout. It ends when its stdin does, so that it never
outlives a trainer that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import IO, Any

from pipelines.errors import TrackingError

# Seconds before the second and third attempt; a server that restarts needs about ten.
_WAITS_S = (0.5, 2.0)

Action = Callable[[str, dict[str, Any]], dict[str, Any]]


def main(tracking_uri: str) -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what MLflow prints is no answer
    warnings.simplefilter("ignore")
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    refused = _load(tracking_uri, requests)
    while True:
        request = requests.get()
        _say(answers, refused or _answer(tracking_uri, request))


def _listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass requests on; end the process with its parent, whatever MLflow waits for."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


def _say(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _load(tracking_uri: str, requests: queue.SimpleQueue[dict[str, Any]]) -> dict[str, Any] | None:
    """Import what recording needs; return the answer to every request when it is not there."""
    from pipelines.tracking.recording import warm

    try:
        import mlflow.tracking  # noqa: F401
    except ImportError as error:
        fix = "pip install 'forecast-platform[track]'"
        return _refusal(TrackingError(f"MLflow cannot be imported ({error}): {fix}", retriable=False))
    with contextlib.suppress(Exception):  # what is wrong shows at the first request, with its reason
        warm(tracking_uri, rehearse=requests.empty())
    return None


def _answer(tracking_uri: str, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked; try again what may go better, while there is time."""
    from pipelines.tracking import bundle_run, mirror_run, recording, retrain_run, run_scores
    from pipelines.tracking.faults import named

    actions: dict[str, Action] = {
        "log": recording.log, "runs": recording.runs, "bundle": bundle_run.log,
        "scores": run_scores.fetch, "mirror": mirror_run.mirror,
        "retrain": retrain_run.log, "wait": lambda *_: {},
    }  # fmt: skip
    action = actions[request["do"]]
    ends = time.monotonic() + request["timeout_s"]
    waits = iter(_WAITS_S)
    while True:
        try:
            return action(tracking_uri, request)
        except Exception as error:  # every failure goes to the parent, with its reason
            told = named(tracking_uri, error)
        wait = next(waits, None)
        if wait is None or not told.retriable or time.monotonic() + wait > ends:
            return _refusal(told)
        time.sleep(wait)


def _refusal(error: TrackingError) -> dict[str, Any]:
    return {"error": str(error), "retriable": error.retriable}


if __name__ == "__main__":
    main(sys.argv[1])
