"""Lines of an exposition as the core fills numbers into them, against Python's own formatting."""

from __future__ import annotations

import random

import pytest

from rapidjws import _native
from rapidjws._native import METRIC_TEXT, MetricHistograms, MetricLines, MetricText
from rapidjws._protobuf import field
from rapidjws.observe import HistogramValue, prometheus_protobuf
from rapidjws.observe.metric_list import NETWORK, ROTATION, VERIFICATION, Buckets

EDGES = (0, 1, 9, 10, 99, 100, 2**31, 2**32, 2**63, 10**19, METRIC_TEXT - 1)


def test_numbers_and_texts_in_their_order() -> None:
    """Each line has its start and its number, or the next text; octets between lines stay as they are."""
    chance = random.Random(3)
    text = MetricText()
    for _ in range(200):
        starts = [bytes(chance.choices(b"ab% \n\xc3\x00", k=chance.randrange(9))) for _ in range(30)]
        values = [chance.choice((*EDGES, METRIC_TEXT, chance.randrange(2**64 - 1))) for _ in starts]
        texts = [b"%d" % number * chance.randrange(4) for number in range(values.count(METRIC_TEXT))]
        rest = iter(texts)
        lines = [
            start + (next(rest) if value == METRIC_TEXT else b"%d" % value) + b"\n"
            for start, value in zip(starts, values, strict=True)
        ]
        found = text.joined([b"# head\n", (MetricLines(starts), values, texts), b"# EOF\n"])
        assert found == b"".join([b"# head\n", *lines, b"# EOF\n"])


def test_nothing_is_nothing() -> None:
    """No parts, no lines and no octets are an empty text."""
    assert MetricText().joined([]) == MetricText().joined([b"", (MetricLines([]), [], [])]) == b""


def test_a_count_without_a_text_is_a_number() -> None:
    """A count of the largest number is written as it is where no text is left."""
    assert MetricText().joined([(MetricLines([b"a "]), [METRIC_TEXT], [])]) == b"a 18446744073709551615\n"


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_number_that_is_no_count_is_an_error(value: int) -> None:
    """What is no count is refused, not cut to 64 bits."""
    with pytest.raises(OverflowError):
        MetricText().joined([(MetricLines([b"a "]), [value], [])])


def test_as_many_values_as_lines() -> None:
    """Fewer or more values than lines are refused."""
    with pytest.raises(ValueError, match="expected 2 values, found 1"):
        MetricText().joined([(MetricLines([b"a ", b"b "]), [1], [])])


def test_what_does_not_fit_is_not_written() -> None:
    """The core writes nothing where the memory does not do."""
    ffi, lib = _native.ffi, _native.lib
    for capacity, fits in ((22, True), (21, False), (0, False)):
        out = ffi.new("char[]", 64)
        ends, values = ffi.new("uint32_t[]", [1]), ffi.new("uint64_t[]", [5])
        size = lib.rj_metric_lines(out, capacity, b"a", ends, values, 1, b"", ffi.new("uint32_t[]", 0), 0)
        assert (size, ffi.buffer(out)[:3]) == ((3, b"a5\n") if fits else (0, b"\0\0\0"))


@pytest.mark.parametrize("buckets", [VERIFICATION, NETWORK, ROTATION, Buckets(first=0, last=31)])
def test_histograms_are_those_of_python(buckets: Buckets) -> None:
    """Classic and native histograms are octet for octet what the fields written one by one are."""
    chance = random.Random(5)
    bounds = buckets.last - buckets.first + 1
    values = []
    for number in range(60):
        share = (0.0, 0.1, 0.6, 1.0)[number % 4]
        counts = [chance.randrange(10 ** chance.randrange(1, 18)) if chance.random() < share else 0
                  for _ in range(bounds + 1)]  # fmt: skip
        values.append(HistogramValue(counts=tuple(counts), sum=chance.random() * 10**number))
    labels = [field(1, bytes(chance.randrange(300))) for _ in values]
    counted = [one for value in values for one in value.counts]
    found = MetricHistograms(labels).written(counted, [one.sum for one in values], bounds, buckets.first)
    assert found == b"".join(
        field(4, start + field(7, prometheus_protobuf._histogram(value, buckets)))
        for start, value in zip(labels, values, strict=True)
    )


def test_histograms_that_do_not_fit_are_refused() -> None:
    """Too many bounds, or fewer counts than bounds, are errors."""
    for counts, bounds in (([0] * 34, 33), ([0] * 5, 5), ([], 0)):
        with pytest.raises(ValueError, match="bounds"):
            MetricHistograms([b""]).written(counts, [0.0], bounds, 0)


def test_sums_of_blocks() -> None:
    """Blocks of a group are added up word by word, in any order of the groups."""
    chance = random.Random(4)
    for words in (1, 3, 23):
        blocks = [[[chance.randrange(2**40) for _ in range(words)] for _ in range(chance.randrange(4))]
                  for _ in range(9)]  # fmt: skip
        kept = [[_native.ffi.new("uint64_t[]", one) for one in group] for group in blocks]
        addresses = [[int(_native.ffi.cast("uintptr_t", one)) for one in group] for group in kept]
        sums = _native.CounterSums(addresses, words).sums()
        assert sums == [sum(one[at] for one in group) for group in blocks for at in range(words)]
    assert _native.CounterSums([], 3).sums() == []
