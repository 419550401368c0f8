import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stream.desk import Desk
from pipelines.stream.keys import KeyTable
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import serve
from tests.strategies import make_records


def columns(ids):
    ends = np.cumsum([0, *map(len, ids)])
    return np.frombuffer(b"".join(ids) + b" ", dtype=np.uint8), ends[:-1].copy(), ends[1:].copy()


@given(st.lists(st.lists(st.binary(max_size=12), max_size=40), max_size=4))
def test_ids_get_numbers_in_the_order_in_which_they_come(batches):
    table, known = KeyTable.empty(), {}
    for ids in batches:
        before = [known.get(name, -1) for name in ids]
        assert table.find(*columns(ids)).tolist() == before
        for name in ids:
            known.setdefault(name, len(known))
        assert table.add(*columns(ids)).tolist() == [known[name] for name in ids]
        assert table.count == len(known)
    assert [table.id(i) for i in range(table.count)] == list(known)


def test_a_hundred_thousand_ids():
    ids = [b"series-%d" % i for i in range(100_000)]
    table = KeyTable.of(ids)
    assert table.find(*columns(ids[::-1])).tolist() == list(range(99_999, -1, -1))
    assert table.find(*columns([b"series-100000", b"series-"])).tolist() == [-1, -1]


def test_what_is_no_id_is_in_no_table():
    data, firsts, lasts = columns([b"a", b"b"])
    firsts[0] = lasts[0] = -1
    table = KeyTable.empty()
    assert table.add(data, firsts, lasts).tolist() == [-1, 0]


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20, unique=True))
def test_ids_as_json(names):
    names = [name for name in names if name.isprintable() or all(ord(c) < 0xD800 for c in name)]
    shard = Desk.of(serve(make_records(1)), StreamOptions()).shard()
    for part in (names[:3], names[3:]):
        shard.number(*columns([name.encode() for name in part]))
        quoted = shard.quote()
    ends = quoted.ends
    found = [quoted.text[ends[i] : ends[i + 1]].tobytes() for i in range(len(names))]
    assert found == [msgspec.json.encode(name) for name in names]
