"""Each format of a reading, read back by somebody else's parser; hostile names stay values."""

from __future__ import annotations

from typing import Any

import pytest
import tokens
from client_model import metric_families
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

import rapidjws
from rapidjws.observe import (
    METRICS,
    Collector,
    EngineMetrics,
    Exposition,
    HistogramValue,
    OTelMetrics,
    Reading,
    Sample,
)
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.exposition import FORMATS, OPENMETRICS, PROTOBUF, TEXT, chosen_format
from rapidjws.rollout import Partner, Rollout

HOSTILE = 'a"b\\c\nd" 1\n# EOF\nrapidjws_ready 0\nx="'  # no braces: those make a name a template
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

PROMETHEUS_NATIVE = (
    b"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    b"application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
    b"text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def token(**changes: Any) -> str:
    """Return a token that is good by the clock of today."""
    return tokens.token("HS256", **{"iat": None, **changes})


@pytest.fixture(scope="module", name="engine")
def _engine() -> rapidjws.Engine:
    """An engine of two issuers, one with a hostile name, that verified some tokens."""
    issuers = [
        rapidjws.Issuer(iss, keys=[tokens.key("HS256", name)], algorithms=["HS256"], audience=tokens.AUD)
        for iss, name in ((HOSTILE, "k2"), (tokens.ISS, "k1"))
    ]
    rollout = Rollout([Partner(name="acme", issuers=(HOSTILE,))])
    engine = rapidjws.Engine(*issuers, rollout=rollout)
    for _ in range(5):
        engine.verify(token())
    engine.decide(tokens.token("HS256", "k2", iss=HOSTILE, iat=None))
    engine.verify_many([token(exp=1), token(kid="k"), "x.y.z"])
    return engine


@pytest.fixture(name="reading")
def _reading(engine: rapidjws.Engine) -> Reading:
    one = EngineMetrics(engine)
    one.recorder.sampled(
        metrics.VERIFICATION_DURATION, tokens.ISS, "HS256",
        value=0.00005, trace_id=TRACE_ID, span_id=SPAN_ID, at_s=1_700_000_000.25,
    )  # fmt: skip
    return one.reading()


def flat(families: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of parsed families."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def expected(reading: Reading) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what a classic format must hold."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for metric, samples in reading.families():
        for one in samples:
            labels = one.named
            value = one.value
            if not isinstance(value, HistogramValue):
                found[metric.name, tuple(sorted(labels.items()))] = value
                continue
            assert metric.buckets is not None
            below = 0
            for bound, count in zip((*metric.buckets.bounds_s, float("inf")), value.counts, strict=True):
                below += count
                le = "+Inf" if bound == float("inf") else repr(bound)
                found[f"{metric.name}_bucket", tuple(sorted({**labels, "le": le}.items()))] = below
            found[f"{metric.name}_sum", tuple(sorted(labels.items()))] = value.sum
            found[f"{metric.name}_count", tuple(sorted(labels.items()))] = value.count
    return found


def test_text_reads_back(reading: Reading) -> None:
    """Text 0.0.4 holds each sample with its labels, hostile names as they are."""
    octets = Exposition().write(reading, TEXT)
    assert flat(text_string_to_metric_families(octets.decode())) == expected(reading)
    assert any(HOSTILE in one.labels for one in reading.samples("rapidjws_verifications_total"))


def test_openmetrics_reads_back_with_exemplars(reading: Reading) -> None:
    """OpenMetrics 1.0 holds the same, units, and the trace of a sampled request in its bucket."""
    octets = Exposition().write(reading, OPENMETRICS)
    families = list(openmetrics_parser.text_string_to_metric_families(octets.decode()))
    assert flat(families) == expected(reading)
    exemplars = [
        (sample.labels["le"], sample.exemplar)
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert [(le, one.labels["trace_id"]) for le, one in exemplars] == [(repr(2.0**-14), TRACE_ID)]
    assert exemplars[0][1].value == 0.00005
    units = {family.name: family.unit for family in families}
    assert units["rapidjws_verification_duration_seconds"] == "seconds"


def test_protobuf_reads_back_with_native_histograms(reading: Reading) -> None:
    """Protobuf holds the same; a native histogram has the counts of the classic one."""
    octets = Exposition().write(reading, PROTOBUF)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    traced = 0
    for family in metric_families(octets):
        for one in family.metric:
            labels = {pair.name: pair.value for pair in one.label}
            key = tuple(sorted(labels.items()))
            if family.type != 4:
                found[family.name, key] = one.counter.value if family.type == 0 else one.gauge.value
                continue
            histogram = one.histogram
            for bucket in histogram.bucket:
                le = "+Inf" if bucket.upper_bound == float("inf") else repr(bucket.upper_bound)
                found[f"{family.name}_bucket", tuple(sorted({**labels, "le": le}.items()))] = (
                    bucket.cumulative_count
                )
                traced += bucket.HasField("exemplar")
            found[f"{family.name}_sum", key] = histogram.sample_sum
            found[f"{family.name}_count", key] = histogram.sample_count
            assert native_counts(histogram) == classic_counts(histogram)
    assert found == expected(reading)
    assert traced == 1


def native_counts(histogram: Any) -> dict[float, int]:
    """Return the upper bound of each bucket that is used, with its count, out of spans and deltas."""
    found = {histogram.zero_threshold: histogram.zero_count} if histogram.zero_count else {}
    index, count, deltas = 0, 0, iter(histogram.positive_delta)
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            if count:
                found[2.0**index] = count
            index += 1
    return found


def classic_counts(histogram: Any) -> dict[float, int]:
    """Return the same out of the classic buckets; what is above the last bound is in the next power."""
    found, below, last = {}, 0, 0.0
    for bucket in histogram.bucket:
        bound = 2 * last if bucket.upper_bound == float("inf") else bucket.upper_bound
        if bucket.cumulative_count > below:
            found[bound] = bucket.cumulative_count - below
        below, last = bucket.cumulative_count, bound
    return found


@pytest.mark.parametrize(
    "value", [(0,) * 21 + (3,), (5,) + (0,) * 21, (1, 0, 2, 0, 0, 7) + (0,) * 16, (0,) * 22]
)
def test_native_histograms_at_their_edges(value: tuple[int, ...]) -> None:
    """Counts below the first bound, above the last one, with gaps, or none at all are the same in both."""
    sample = Sample(metrics.VERIFICATION_DURATION, ("i", "a"), HistogramValue(counts=value, sum=1.0))
    (family,) = metric_families(Exposition().write(Reading([sample], 0.0), PROTOBUF))
    histogram = family.metric[0].histogram
    assert native_counts(histogram) == classic_counts(histogram)
    assert histogram.schema == 0
    assert len(histogram.positive_span) == 1  # what says that it is a native one


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, "text"),
        (b"", "text"),
        (b"*/*", "text"),
        (b"text/html", "text"),
        (b"text/plain", "text"),
        (PROMETHEUS_NATIVE, "protobuf"),
        (PROMETHEUS_NATIVE.partition(b",")[2], "openmetrics"),
        (b"application/openmetrics-text", "openmetrics"),
        (b"application/openmetrics-text; version=2.0.0, text/plain;q=0.1", "text"),
        (b"application/openmetrics-text;q=0, text/plain", "text"),
        (b"application/openmetrics-text;q=0.2, text/plain;q=0.3", "text"),
        (b"application/vnd.google.protobuf", "text"),
        (b"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", "text"),
        (PROTOBUF.content_type.upper().encode(), "protobuf"),
        (b"application/openmetrics-text;q=nonsense", "text"),
        (b"application/openmetrics-text;q=9", "text"),
        (b";;;,,,=", "text"),
        (b"application/openmetrics-text," * 1000, "text"),
    ],
)  # fmt: skip
def test_the_scraper_chooses(accept: bytes | None, wanted: str) -> None:
    """The format is the one that the Accept header likes best; text for whoever names none of ours."""
    assert chosen_format(accept).name == wanted


def test_names_are_once(reading: Reading) -> None:
    """No series stands twice in any format."""
    for one in FORMATS[1:]:
        text = Exposition().write(reading, one).decode()
        lines = [line.rpartition(" # ")[0] or line for line in text.splitlines() if not line.startswith("#")]
        series = [line.rpartition(" ")[0] for line in lines]
        assert len(series) == len(set(series))


def test_a_collector_gives_the_same(engine: rapidjws.Engine) -> None:
    """prometheus-client exposes what we expose."""
    registry = CollectorRegistry()
    registry.register(Collector(engine))
    theirs = flat(text_string_to_metric_families(generate_latest(registry).decode()))
    ours = expected(EngineMetrics(engine).reading())
    assert theirs == ours


def test_opentelemetry_gives_the_same(engine: rapidjws.Engine) -> None:
    """Observable instruments export what we expose; histograms as their three counters."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    OTelMetrics(engine, provider.get_meter("test"))
    data: Any = reader.get_metrics_data()
    found = {
        (metric.name, tuple(sorted(point.attributes.items()))): point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    assert found == expected(EngineMetrics(engine).reading())
    provider.shutdown()


def test_readings_answer_questions(reading: Reading) -> None:
    """Sums, quantiles and largest values are those of the samples; a label that is not there is a mistake."""
    name = "rapidjws_verifications_total"
    assert reading.total(name, issuer=tokens.ISS, code="ok") == 6
    assert reading.total(name) == sum(one.value for one in reading.samples(name))  # type: ignore[misc]
    assert reading.total("rapidjws_verification_duration_seconds") == reading.total(name)
    p95 = reading.quantile("rapidjws_verification_duration_seconds", 0.95)
    assert p95 is not None
    assert 2.0**-20 <= p95 <= 1.0
    assert reading.quantile("rapidjws_signing_duration_seconds", 0.95) is None
    assert reading.largest("rapidjws_ready") == 1
    with pytest.raises(KeyError):
        reading.total(name, kid="x")
    with pytest.raises(KeyError):
        reading.total("rapidjws_nothing")
    assert {metric.name for metric, _ in reading.families()} == set(METRICS)
