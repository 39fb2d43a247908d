"""Verdicts are counted once, exactly, by issuer, partner and code; durations by issuer and algorithm."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

import pytest
import tokens

import rapidjws
from rapidjws import Rejected, _native
from rapidjws.errors import CODES
from rapidjws.rollout import Partner, Rollout
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify.counter_memory import CounterMemory, CounterRegion, private_region
from rapidjws.verify.verdict_counters import CODE_WORDS, DURATIONS, VERDICTS, VerdictCounters

OTHER = "https://other.example"


def token(alg: str, name: str = "k1", **changes: Any) -> str:
    """Return a token that is good by the clock of today."""
    return tokens.token(alg, name, **{"iat": None, **changes})


def issuer(iss: str = tokens.ISS, alg: str = "HS256", name: str = "k1") -> rapidjws.Issuer:
    """Return an issuer with one key."""
    return rapidjws.Issuer(iss, keys=[tokens.key(alg, name)], algorithms=[alg], audience=tokens.AUD)


def verdicts(counters: VerdictCounters | None) -> dict[tuple[str, str, str], int]:
    """Return what was counted: (issuer, partner, code) -> how often."""
    assert counters is not None
    names = {word: code for code, word in CODE_WORDS.items()}
    words = counters.region.words
    return {
        (*one.labels, names[at]): words[one.word + at]
        for one in counters.region.series()
        if one.name == VERDICTS
        for at in range(one.words)
        if words[one.word + at]
    }


def durations(counters: VerdictCounters | None) -> dict[tuple[str, ...], int]:
    """Return how many durations were counted: (issuer, alg) -> how many."""
    assert counters is not None
    words = counters.region.words
    found = {
        one.labels: sum(words[one.word : one.word + one.words - 1])
        for one in counters.region.series()
        if one.name == DURATIONS
    }
    return {labels: count for labels, count in found.items() if count}


def test_each_way_to_verify_counts_once() -> None:
    """verify, averify, verify_many and decide each count what they come to, whatever they call inside."""
    engine = rapidjws.Engine(issuer())
    good = token("HS256")
    bad = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    engine.verify(good)
    engine.verify(good)  # its header is known by now
    asyncio.run(engine.averify(good))
    engine.verify_many([good] * 70 + [bad, "a.b"])
    for refused in (bad, "a.b", token("HS256", exp=1)):
        with pytest.raises(rapidjws.TokenRefused):
            engine.verify(refused)
        with pytest.raises(rapidjws.TokenRefused):
            asyncio.run(engine.averify(refused))
    engine.decide(good)
    engine.decide(None)  # no token: no verdict on one
    engine.decide_many([(good, None, None), (bad, "whoever", None), (None, None, None)])
    asyncio.run(engine.adecide(good))
    assert verdicts(engine.counters) == {
        (tokens.ISS, "", "ok"): 3 + 70 + 3,
        (tokens.ISS, "", "signature_invalid"): 1 + 2 + 1,
        (tokens.ISS, "", "expired"): 2,
        ("", "", "malformed_token"): 1 + 2,
    }
    assert sum(durations(engine.counters).values()) == sum(verdicts(engine.counters).values())
    assert durations(engine.counters)[tokens.ISS, "HS256"] == 76


def test_a_partner_is_a_configured_one() -> None:
    """A decision counts under the partner it is attributed to; what a caller calls itself is no label."""
    rollout = Rollout([Partner(name="acme", issuers=(tokens.ISS,))])
    engine = rapidjws.Engine(issuer(), rollout=rollout)
    engine.decide(token("HS256"), partner="acme")
    engine.decide(token("HS256"))  # its issuer belongs to acme
    engine.decide(token("HS256"), partner="a stranger's name")
    engine.decide(token("HS256", exp=1), partner="acme")
    asyncio.run(engine.adecide(token("HS256"), partner="acme"))
    seen = verdicts(engine.counters)
    assert {partner for _, partner, _ in seen} <= {"acme", ""}
    assert seen[tokens.ISS, "acme", "ok"] == 3
    assert seen[tokens.ISS, "acme", "expired"] == 1
    assert sum(seen.values()) == 5


def test_a_cache_counts_its_hits_as_verdicts() -> None:
    """A token that the cache knows is a verdict like any other."""
    engine = rapidjws.Engine(issuer(), cache=rapidjws.TokenCache())
    for _ in range(5):
        engine.verify(token("HS256"))
    assert verdicts(engine.counters) == {(tokens.ISS, "", "ok"): 5}


def test_what_follows_a_verification_decides_the_code() -> None:
    """A replayed or revoked token is counted as such, and not as good before."""
    engine = rapidjws.Engine(
        rapidjws.Issuer(
            tokens.ISS,
            keys=[tokens.key("HS256")],
            algorithms=["HS256"],
            audience=tokens.AUD,
            replay=rapidjws.Replay(store=MemoryReplayStore()),
        )
    )
    once = token("HS256", jti="once")
    engine.verify(once)
    with pytest.raises(rapidjws.PolicyRefused):
        engine.verify(once)
    assert isinstance(engine.verify_many([once])[0], Rejected)
    assert verdicts(engine.counters) == {(tokens.ISS, "", "ok"): 1, (tokens.ISS, "", "replayed"): 2}


def test_issuers_are_kept_apart() -> None:
    """Each issuer counts alone; a token of nobody's is under the empty name, also after issuers changed."""
    engine = rapidjws.Engine(issuer(), issuer(OTHER, "ES256"))
    engine.verify(token("HS256"))
    engine.verify(token("ES256", iss=OTHER))
    with pytest.raises(rapidjws.UnknownKey):
        engine.verify(token("HS256", "k2", iss="https://nobody.example"))
    engine.replace_issuers(issuer(OTHER, "ES256"), issuer("https://new.example", "HS256"))
    engine.verify(token("ES256", iss=OTHER))
    engine.verify(token("HS256", iss="https://new.example"))
    seen = verdicts(engine.counters)
    assert seen[tokens.ISS, "", "ok"] == 1
    assert seen[OTHER, "", "ok"] == 2
    assert seen["https://new.example", "", "ok"] == 1
    assert sum(count for (iss, _, _), count in seen.items() if iss == "") == 1
    assert durations(engine.counters)[OTHER, "ES256"] == 2


def test_a_strangers_issuer_and_kid_are_no_labels() -> None:
    """Whatever a token names, the labels are those of the configuration."""
    engine = rapidjws.Engine(issuer(), issuer(OTHER, "ES256"))
    for at in range(40):
        with pytest.raises(rapidjws.TokenRefused):
            engine.verify(token("HS256", f"k{at + 5}", iss=f"https://{at}.example", jti=f"j{at}"))
    assert engine.counters is not None
    labels = {label for one in engine.counters.region.series() for label in one.labels}
    assert labels <= {"", tokens.ISS, OTHER, "HS256", "ES256"}


def test_counting_can_be_off() -> None:
    """Without counters nothing is counted, and every way to verify works."""
    engine = rapidjws.Engine(issuer(), counters=False)
    engine.verify(token("HS256"))
    engine.verify_many([token("HS256")])
    asyncio.run(engine.averify(token("HS256")))
    assert engine.decide(token("HS256")).code == "ok"
    assert engine.counters is None


def test_threads_lose_no_count() -> None:
    """Eight threads that verify at once are all counted."""
    engine = rapidjws.Engine(issuer(), workers=2)
    good, each = token("HS256"), 400

    def work() -> None:
        for _ in range(each):
            engine.verify(good)
        engine.verify_many([good] * each)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts(engine.counters) == {(tokens.ISS, "", "ok"): 8 * 2 * each}


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_begins_at_zero() -> None:
    """Counts that are not shared are the parent's: a child that inherits them begins anew."""
    engine = rapidjws.Engine(issuer())
    engine.verify(token("HS256"))
    pid = os.fork()
    if not pid:
        engine.verify(token("HS256"))
        os._exit(0 if verdicts(engine.counters) == {(tokens.ISS, "", "ok"): 1} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert verdicts(engine.counters) == {(tokens.ISS, "", "ok"): 1}


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_workers_counts_outlive_it() -> None:
    """Workers count in shared memory, also in a dead one's place; gauges end with their worker."""
    memory = CounterMemory(2, region_bytes=1 << 16)
    for index, times in ((0, 3), (1, 5), (0, 7)):
        pid = os.fork()
        if not pid:
            region = memory.of_worker(index)
            region.begin()
            engine = rapidjws.Engine(issuer(), counters=VerdictCounters(region))
            for _ in range(times):
                engine.verify(token("HS256"))
            if times == 3:
                region.put("gauge", (), 1.5)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    first, second = (VerdictCounters(memory.of_worker(index)) for index in range(2))
    assert verdicts(first) == {(tokens.ISS, "", "ok"): 10}
    assert verdicts(second) == {(tokens.ISS, "", "ok"): 5}
    gauge = next(one for one in first.region.series() if one.name == "gauge")
    assert first.region.floats(gauge.word) == 0.0


def test_full_memory_keeps_counting_and_says_so() -> None:
    """Where no memory is left, counts go to the series without names, and what was dropped is counted."""
    region = private_region(4096)
    counters = VerdictCounters(region)
    engine = rapidjws.Engine(
        *[issuer(f"https://{at}.example", name=f"k{at}") for at in range(9)], counters=counters
    )
    for at in range(9):
        engine.verify(token("HS256", f"k{at}", iss=f"https://{at}.example"))
    seen = verdicts(counters)
    assert region.dropped > 0
    assert sum(seen.values()) == 9
    assert seen["", "", "ok"] > 0


def test_buckets_are_powers_of_two_of_a_second() -> None:
    """A duration lies in the first bucket whose bound is not smaller; what is above a second in the last."""
    counters = VerdictCounters()
    cases = {0: 0, 900: 0, 953: 0, 955: 1, 1_900: 1, 1_910: 2, 999_000_000: 20, 1_000_000_000: 20,
             1_001_000_000: 21, 10**15: 21, -5: 0}  # fmt: skip
    word = counters.region.place(DURATIONS, ("", ""), "h", 23)
    for elapsed_ns, bucket in cases.items():
        before = list(counters.region.words[word : word + 22])
        counters.count(None, "", "ok", "", elapsed_ns)
        after = counters.region.words[word : word + 22]
        assert [at for at in range(22) if after[at] != before[at]] == [bucket], elapsed_ns


def test_the_sum_is_in_seconds() -> None:
    """The sum of durations is exact to a nanosecond each."""
    counters = VerdictCounters()
    for _ in range(1000):
        counters.count(None, "", "ok", "", 1_234_567)
    word = counters.region.place(DURATIONS, ("", ""), "h", 23)
    assert counters.region.words[word + 22] * 2.0**-30 == pytest.approx(1.234567, abs=1e-6)


def test_every_code_has_a_word() -> None:
    """Codes fit the words of a series; only a caller's mistakes, and what rules refuse later, have none."""
    assert set(CODES) - set(CODE_WORDS) == {
        code for code, row in CODES.items() if row.reason in ("authorization", "configuration")
    }
    assert sorted(CODE_WORDS.values())[0] == 0
    assert len(set(CODE_WORDS.values())) == len(CODE_WORDS)
    assert max(CODE_WORDS.values()) < _native.COUNTERS_CODES


@pytest.mark.parametrize(
    "wrong", [(), ("a",), (None, "", "ok", "", "x"), (None, None, "ok", "", 1), (1, 2, 3, 4, 5)]
)
def test_counting_by_name_checks_its_arguments(wrong: tuple[Any, ...]) -> None:
    """What is no name or no time is a mistake of the caller's; a name nobody knows is counted under none."""
    counters = VerdictCounters()
    with pytest.raises(TypeError):
        counters.count(*wrong)
    counters.count("https://unknown.example", "", "ok", "none", 1)
    counters.count(None, "", "no such code", "", 1)
    assert verdicts(counters) == {("", "", "ok"): 1}


def test_counting_never_touches_the_exception() -> None:
    """A refusal reaches the caller as it was, with its class, code and place."""
    engine = rapidjws.Engine(issuer())
    with pytest.raises(rapidjws.ClaimRefused) as refused:
        engine.verify(token("HS256", aud="https://else.example"))
    assert (refused.value.code, refused.value.issuer) == ("audience_mismatch", tokens.ISS)
    with pytest.raises(TypeError):
        engine.verify()  # type: ignore[call-arg]
    assert sum(verdicts(engine.counters).values()) == 1


def test_series_are_found_again() -> None:
    """A region that another process reads names the same series with the same words."""
    memory = CounterMemory(1, region_bytes=1 << 16)
    mine, theirs = memory.of_worker(0), None
    mine.add("events", ("a", 'hostile\n"name'), 3)
    mine.observe("lag", ("x",), 0.75, -4, 8)
    theirs = CounterRegion(mine._memory, 0, 1 << 16)
    found = {(one.name, one.labels): one for one in theirs.series()}
    assert theirs.words[found["events", ("a", 'hostile\n"name')].word] == 3
    lag = found["lag", ("x",)]
    assert list(theirs.words[lag.word : lag.word + 9]) == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert theirs.add("events", ("a", 'hostile\n"name')) is None
    assert mine.words[found["events", ("a", 'hostile\n"name')].word] == 4


def test_S3_a_full_region_leaves_its_neighbour_be() -> None:
    """Names and words stay within their parts of a region, whichever of the two is full first."""
    for octets, words in ((300, 1), (1, 40)):
        memory = CounterMemory(2, region_bytes=4096)
        first, second = memory.of_worker(0), memory.of_worker(1)
        place = second.place("theirs", (), "c", 1)
        names = [f"{at:03d}" + "x" * octets for at in range(60)]
        for at, name in enumerate(names):
            word = first.place(name, (), "c", words)
            for number in range(words):
                first.words[word + number] += at
        assert first.dropped > 0
        assert [one.name for one in second.series()] == ["theirs"]
        assert second.words[place] == 0
        kept = [one.name for one in first.series()]
        assert 0 < len(kept) < 60
        assert kept == names[: len(kept)]
