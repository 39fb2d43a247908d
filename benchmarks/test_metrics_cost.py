"""What counting costs: an engine that counts against one that does not, in one run; what a scrape costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import ours
import pytest

from rapidjws.observe import metric_list as metrics
from rapidjws.observe.exposition import FORMATS, Exposition
from rapidjws.observe.reading import Reading
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.verify.counter_memory import CounterMemory
from rapidjws.verify.verdict_counters import VerdictCounters

pytestmark = pytest.mark.usefixtures("one_cpu")

MOST = {
    ("single", "ES256"): 1.02,
    ("single", "HS256"): 1.03,
    ("batch", "ES256"): 1.01,
    ("batch", "HS256"): 1.01,
}
"""Shape and algorithm -> the most that counting may multiply the time by."""

NOISE = 0.003
"""What two engines that do the same differ by, at most, in the median of so many rounds."""

SCRAPE_MS_AT_MOST = 5.0
ISSUERS, PARTNERS = 100, 20


def ratio(on: Callable[[], Any], off: Callable[[], Any], rounds: int) -> float:
    """Return the median over rounds of the time of one call by that of the other, which take turns."""
    ratios = []
    for number in range(rounds):
        took: dict[bool, int] = {}
        for is_on in (True, False) if number % 2 else (False, True):
            begun_ns = time.perf_counter_ns()
            (on if is_on else off)()
            took[is_on] = time.perf_counter_ns() - begun_ns
        ratios.append(took[True] / took[False])
    return median(ratios)


@pytest.mark.parametrize(("shape", "alg"), MOST)
def test_counting_costs_little(shape: str, alg: str, benchmark: Any) -> None:
    """An engine that counts takes little longer than one that does not, and counts every token."""
    on, off = ours.make_engine(alg), ours.make_engine(alg, counters=False)
    tokens = ours.good_tokens(alg, 64)
    for engine in (on, off):
        engine.precompute()

    def work(engine: Any) -> Callable[[], Any]:
        if shape == "batch":
            return lambda: engine.verify_many(tokens)
        return lambda: [engine.verify(token) for token in tokens]

    rounds = 1200 if alg == "HS256" else 300
    found = min(ratio(work(on), work(off), rounds) for _ in range(3))
    benchmark.extra_info.update(ratio=found)
    benchmark.pedantic(work(on), rounds=3)
    assert found <= MOST[shape, alg] + NOISE
    assert on.counters is not None
    assert off.counters is None


def counted_memory() -> CounterMemory:
    """Return the memory of two workers that counted for every issuer and partner, as a sidecar does."""
    memory = CounterMemory(2)
    partners = [f"partner-{number}" for number in range(PARTNERS)]
    for index in range(2):
        region, recorder = memory.of_worker(index), MetricRecorder()
        region.begin()
        recorder.attach(region)
        counters = VerdictCounters(region)
        for issuer in (f"https://issuer-{number}.example" for number in range(ISSUERS)):
            counters._issuers[issuer] = counters._entry(issuer)
            counters._issuers[issuer][1]["ES256"] = counters._durations(issuer, "ES256")
            recorder.add(metrics.JWKS_FETCHES, issuer, "ok", "")
            recorder.observe(metrics.JWKS_FETCH_DURATION, issuer, "ok", value_s=0.05)
            recorder.put(metrics.JWKS_KEYS, issuer, value=2)
            for partner in partners:
                for code in ("ok", "expired"):
                    counters.count(issuer, partner, code, "ES256" if code == "ok" else "", 40_000)
        for partner in partners:
            for code in ("ok", "expired"):
                recorder.count(partner, "/a", code, refused=code != "ok")
    return memory


@pytest.mark.parametrize("wanted", FORMATS, ids=[one.name for one in FORMATS])
def test_a_scrape_takes_little(wanted: Any, benchmark: Any) -> None:
    """A scrape of 100 issuers with 20 partners each, in two workers, takes little where all counted on."""
    memory = counted_memory()
    regions = [memory.of_worker(index) for index in range(2)]
    samples = RegionSamples(regions)
    exposition = Exposition()
    counted = [(region, one) for region in regions for one in region.series() if one.kind != "g"]

    def scrape() -> bytes:
        found, columns = samples.read()
        return exposition.write(Reading(found, 0.0, columns), wanted)

    def took_ms() -> float:
        took_ns = []
        for _ in range(60):
            for region, one in counted:
                for word in range(one.word, one.word + one.words):
                    region.words[word] += region.words[word] > 0
            begun_ns = time.thread_time_ns()
            scrape()
            took_ns.append(time.thread_time_ns() - begun_ns)
        return min(took_ns) / 1e6

    assert scrape().count(b"partner-19") == 2 * ISSUERS + 3
    found_ms = took_ms()
    benchmark.extra_info.update(ms=found_ms)
    benchmark.pedantic(scrape, rounds=3)
    assert found_ms < SCRAPE_MS_AT_MOST


def test_scrapes_do_not_move_decisions(benchmark: Any) -> None:
    """The 99th percentile of verifications stays where it is while a thread scrapes.

    It does so twice a second, more often than a Prometheus.
    """
    engine = ours.make_engine("ES256")
    engine.precompute()
    tokens = ours.good_tokens("ES256", 64)
    memory = counted_memory()
    samples, exposition = RegionSamples([memory.of_worker(0)]), Exposition()
    stop = threading.Event()

    def scrape() -> None:
        while not stop.wait(0.5):
            found, columns = samples.read()
            exposition.write(Reading(found, 0.0, columns), FORMATS[-1])

    def p99_ns(seconds: float) -> int:
        took: list[int] = []
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            for token in tokens:
                begun_ns = time.perf_counter_ns()
                engine.verify(token)
                took.append(time.perf_counter_ns() - begun_ns)
        return sorted(took)[int(len(took) * 0.99)]

    ratios = []
    for _ in range(3):
        at_rest = p99_ns(3.0)
        stop.clear()
        thread = threading.Thread(target=scrape)
        thread.start()
        ratios.append(p99_ns(3.0) / at_rest)
        stop.set()
        thread.join()
    benchmark.extra_info.update(ratio=min(ratios))
    benchmark.pedantic(lambda: engine.verify(tokens[0]), rounds=3)
    assert min(ratios) < 1.05
