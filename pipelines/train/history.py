"""The snapshot of the input: partitioned Parquet, laid on the grid, named by its content."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.train.atomic import move_folder, read_json, sync_folder, write_json, write_parquet

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from forecast.models.panel import Panel
    from forecast.models.schema import Schema

FACTS = "history.json"
SERIES = "series.parquet"


@dataclass(frozen=True, slots=True)
class History:
    """A folder ``history.json, series.parquet, part-00000.parquet, ...``.

    Parts are long frames like the input, every grid point with a row and gaps as null; the table of series
    says where each begins, its length, its status on the way in. A part read back is the panel that was
    written.
    """

    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        """Digest, freq, schema, counts."""
        found: dict[str, Any] = read_json(self.folder / FACTS)
        return found

    def damage(self) -> str | None:
        """Return which file is not as it was written, and None where all are."""
        try:
            wanted, found = self.facts["files"], _digests(self.folder)
        except (OSError, TrainError, LookupError, TypeError) as error:
            return str(error)
        changed = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        return f"{changed[0]} was changed" if changed else None

    def schema(self) -> Schema:
        """Columns and types of the input."""
        from forecast.models.schema import Schema

        return Schema.from_json(self.facts["schema"])

    def panel(self, k: int) -> Panel:
        """Return the series of part `k`."""
        import numpy as np
        import pyarrow.parquet as pq

        from forecast.models.freq import Freq
        from forecast.models.panel import Panel

        facts = self.facts
        first = k * facts["partition_size"]
        series = pq.read_table(self.folder / SERIES, memory_map=True).slice(first, facts["partition_size"])
        schema = facts["schema"]
        columns = [schema["target_col"], *schema["exog"]]
        rows = pq.read_table(self.folder / part_name(k), columns=columns, partitioning=None)
        blocks = {name: _numbers(rows[name]) for name in columns}
        lengths = series["length"].to_numpy()
        ids = np.empty(len(series), dtype=object)
        ids[:] = series["id"].to_pylist()
        notes = {i: text for i, text in enumerate(series["note"].to_pylist()) if text}
        return Panel(
            blocks.pop(schema["target_col"]), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            ids, np.array(series["start"].to_numpy(), dtype=np.int64),
            Freq(facts["freq"]["text"], facts["freq"]["tz"]), blocks,
            np.array(series["status"].to_numpy(), dtype=np.uint8), notes,
        )  # fmt: skip

    def newest(self, k: int, points: int) -> pd.DataFrame:
        """Return the last `points` rows of each series of part `k`, as a long frame."""
        import numpy as np
        import pyarrow.parquet as pq

        facts = self.facts
        schema = facts["schema"]
        names = [schema["id_col"], schema["time_col"], schema["target_col"]]
        lengths = pq.read_table(self.folder / SERIES, columns=["length"], memory_map=True)[
            "length"
        ].to_numpy()
        ends = np.cumsum(lengths[k * facts["partition_size"] : (k + 1) * facts["partition_size"]])
        rows = pq.read_table(self.folder / part_name(k), columns=names, partitioning=None)
        to_end = np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(len(rows))
        frame: pd.DataFrame = rows.filter(to_end <= points).to_pandas()
        return frame


def write_history(
    panel: Panel, schema: Schema, root: Path, partition_size: int, jobs: int, owner: str,
    tell: Callable[[], object] = lambda: None,
) -> History:  # fmt: skip
    """Write a panel below `root`, unless it is there already; the folder appears by one rename.

    `owner` is unique to the writer: two of them may be at it at once.
    """
    digest = content_digest(panel, schema, partition_size)
    target = root / digest
    there = History(target)
    if (target / FACTS).exists():
        found = there.damage()
        if found is None:
            return there
        log.warning("%s: %s; written again", target, found)
        shutil.rmtree(target)
    stage = root / f".{digest}.{owner}.tmp"
    shutil.rmtree(stage, ignore_errors=True)  # of a process that was killed
    stage.mkdir(parents=True)
    try:
        _write(panel, schema, stage, partition_size, jobs, tell)
        facts = _facts(panel, schema, digest, partition_size)
        write_json(stage / FACTS, {**facts, "files": _digests(stage)})
        move_folder(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    sync_folder(root)
    return History(target)


def _digests(folder: Path) -> dict[str, str]:
    """sha256 of every Parquet file of a folder."""
    found = {}
    for path in sorted(folder.glob("*.parquet")):
        with open(path, "rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def part_name(k: int) -> str:
    """File of part `k`."""
    return f"part-{k:05d}.parquet"


def parts(n_series: int, partition_size: int) -> int:
    """Return the number of parts."""
    return -(-n_series // partition_size)


def content_digest(panel: Panel, schema: Schema, partition_size: int) -> str:
    """sha256 of everything that a fit depends on, whatever the files looked like."""
    import numpy as np

    head = {
        "schema": schema.to_json(), "freq": [panel.freq.text, panel.freq.tz], "size": partition_size,
        "ids": panel.ids.tolist(), "notes": [[i, text] for i, text in sorted(panel.notes.items())],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for block in (panel.values, panel.indptr, panel.start, panel.status, *panel.exog.values()):  # noqa: PD011
        digest.update(np.ascontiguousarray(block).view(np.uint8).data)
    return digest.hexdigest()


def _facts(panel: Panel, schema: Schema, digest: str, partition_size: int) -> dict[str, Any]:
    return {
        "digest": digest,
        "freq": {"text": panel.freq.text, "tz": panel.freq.tz},
        "schema": schema.to_json(),
        "n_series": panel.n_series,
        "n_rows": len(panel.values),
        "partition_size": partition_size,
    }


def _write(
    panel: Panel, schema: Schema, folder: Path, size: int, jobs: int, tell: Callable[[], object]
) -> None:
    import pyarrow as pa

    series = pa.table(
        {
            "id": panel.ids.tolist(),
            "start": panel.start,
            "length": panel.lengths,
            "status": panel.status,
            "note": pa.array([panel.notes.get(i) for i in range(panel.n_series)], pa.string()),
        }
    )
    write_parquet(folder / SERIES, series)

    def part(k: int) -> None:
        last = min((k + 1) * size, panel.n_series)
        write_parquet(folder / part_name(k), _long(panel, schema, k * size, last))
        tell()

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        list(pool.map(part, range(parts(panel.n_series, size))))


def _long(panel: Panel, schema: Schema, first: int, last: int) -> pa.Table:
    """Return series `first` to `last` as a long table, gaps as null."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from forecast.models.clock import stamps
    from pipelines.train.inputs import to_arrow

    a, b = int(panel.indptr[first]), int(panel.indptr[last])
    lengths = panel.lengths[first:last]
    nth = np.arange(a, b, dtype=np.int64) - np.repeat(panel.indptr[first:last], lengths)
    times = panel.freq.times(np.repeat(panel.start[first:last], lengths), nth)
    codes = pa.array(np.repeat(np.arange(last - first, dtype=np.int32), lengths))
    return pa.table(
        {
            schema.id_col: pa.DictionaryArray.from_arrays(codes, pa.array(panel.ids[first:last].tolist())),
            schema.time_col: to_arrow(pd.DataFrame({"t": stamps(times, panel.freq, schema)}))["t"],
            schema.target_col: pa.array(panel.values[a:b], from_pandas=True),  # noqa: PD011  # of ours
            **{name: pa.array(column[a:b], from_pandas=True) for name, column in panel.exog.items()},
        }
    )


def _numbers(column: Any) -> Any:  # noqa: ANN401  # an Arrow column
    """Return a column as float64, null as NaN."""
    import numpy as np

    return np.array(column.to_numpy(), dtype=np.float64)
