from __future__ import annotations

import io
import json

from pipelines.logs import configure, fields, log


def test_json_lines_carry_the_fields_around_them():
    out = io.StringIO()
    configure("json", out)
    with fields(run_id="r", fleet="f"), fields(stage="fit"):
        log.info("%d of %d", 1, 2, extra={"data": {"rows": 3}})
    log.warning("after")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first.pop("ts").endswith("+00:00")
    assert first == {
        "level": "info", "message": "1 of 2", "run_id": "r", "fleet": "f", "stage": "fit", "rows": 3,
    }  # fmt: skip
    assert "stage" not in second


def test_text_for_people():
    out = io.StringIO()
    configure("text", out)
    with fields(stage="fit"):
        log.warning("slow")
    assert out.getvalue().rstrip().endswith("fit: warning: slow")
