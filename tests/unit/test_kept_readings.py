"""What readers and writers of metrics keep from one scrape to the next changes nothing that is written."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from rapidjws.observe.exposition import FORMATS, Exposition
from rapidjws.observe.reading import Reading
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.verify.counter_memory import CounterMemory
from rapidjws.verify.verdict_counters import VerdictCounters

CODES = ("ok", "expired", "unknown_kid", "revoked", "bad_signature")


@pytest.mark.parametrize("wanted", FORMATS, ids=[one.name for one in FORMATS])
def test_what_is_kept_is_what_would_be_written_anew(wanted: Any) -> None:
    """After any counts, new series and gauges the octets are those of a new reader and writer."""
    chance = random.Random(7)
    memory = CounterMemory(2)
    regions = [memory.of_worker(index) for index in range(2)]
    for region in regions:
        region.begin()
    counters = [VerdictCounters(region) for region in regions]
    kept, writer = RegionSamples(regions), Exposition()
    for step in range(60):
        for _ in range(chance.randrange(4)):
            at = chance.randrange(2)
            issuer = f"https://issuer-{chance.randrange(1 + step // 10)}.example"
            counters[at]._issuers.setdefault(issuer, counters[at]._entry(issuer))
            partner = chance.choice(("", "a", 'b"\n\u00e4'))
            counters[at].count(issuer, partner, chance.choice(CODES), "ES256", chance.randrange(10**6))
        regions[0].put("jwks_keys", ("https://issuer-0.example",), chance.randrange(3))
        if chance.random() < 0.2:
            regions[1].add("jwks_fetches_total", ("https://issuer-0.example", "ok", ""))
        samples = kept.samples()
        anew = {one[:2]: one.value for one in RegionSamples(regions).samples()}
        assert {one[:2]: one.value for one in samples} == anew
        assert len(samples) == len(anew)
        reading = Reading(samples, 0.0)
        assert writer.write(reading, wanted) == Exposition().write(reading, wanted)


def test_two_readings_at_a_time_take_a_new_series_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second scrape waits while the first takes up new series: else each would be counted twice."""
    region = CounterMemory(1).of_worker(0)
    region.begin()
    region.add("jwks_fetches_total", ("https://issuer.example", "ok", ""))
    samples = RegionSamples([region])
    series, threads = region.__class__.series, []

    def slow(self: Any, known: int = 0, at: int = 0) -> Any:
        if not threads:
            threads.append(threading.Thread(target=samples.samples))
            threads[0].start()
            threads[0].join(0.2)
        yield from series(self, known, at)

    monkeypatch.setattr(region.__class__, "series", slow)
    samples.samples()
    threads[0].join(60)
    fetches = [one.value for one in samples.samples() if one.metric.name == "rapidjws_jwks_fetches_total"]
    assert fetches == [1]
