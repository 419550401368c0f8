"""Keys go where Kafka's own producers put them."""

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as theirs

from pipelines.log.partitioning import murmur2, partition_of


def signed(value):
    return value - 2**32 if value >= 2**31 else value


def test_published_values_of_the_java_client():
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {key: signed(murmur2(key)) for key in known} == known


@given(st.binary(max_size=40))
def test_it_is_the_hash_of_kafka_python(key):
    assert murmur2(key) == theirs(key) & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(1, 1000))
def test_a_partition_is_one_that_there_is(key, n):
    assert 0 <= partition_of(key, n) < n
