"""The four rules of escalation, each on both sides of its boundary, with the evidence to send along."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, OTHER, ask, engine, good, rollout
from tokens import b64url

from rapidjws.keys import RemoteJWKS
from rapidjws.keys.fetch import FetchFailed
from rapidjws.rollout import Partner, Rollout
from rapidjws.rollout.counters import Counts, Row
from rapidjws.rollout.escalation import SKEW_TOKENS, Escalation, escalations
from rapidjws.rollout.measures import (
    AHEAD_S,
    SKEW_BUCKETS,
    SourceRecord,
    add_names,
    count_name,
    skew_bucket,
    skew_names,
)
from rapidjws.rollout.report.readiness import readiness
from rapidjws.testing import FakeClock
from rapidjws.verify.protocols import Event

URL = "https://a.example/jwks.json"
A = Partner(name="a", issuers=[ISSUER.iss], contact="ops@a.example")


def found(policy: Rollout, now_s: int = NOW_S) -> dict[tuple[str, str | None], Escalation]:
    """Return the escalations by rule and partner."""
    return {(one.rule, one.partner): one for one in readiness(policy, now_s).escalations}


def with_header(**header: Any) -> str:
    """Return a token with another header; its signature is nobody's."""
    parts = good().split(".")
    return ".".join([b64url(json.dumps(header).encode()), *parts[1:]])


@pytest.mark.parametrize(("down_s", "reported"), [(3599, False), (3600, False), (3601, True)])
def test_key_set_down(down_s: int, reported: bool) -> None:
    """A key set is notified of when its fetches have failed for over an hour since they first did."""
    clock = FakeClock(NOW_S)
    policy = Rollout([A], clock=clock.time, key_sources={URL: ISSUER.iss})
    policy.note(Event(name="fetch_ok", issuer=URL))
    clock.advance(7200)  # nothing was due: no outage
    policy.note(Event(name="fetch_failed", issuer=URL, detail="connect"))
    clock.advance(down_s)
    policy.note(Event(name="fetch_failed", issuer=URL, detail="status"))
    assert (("jwks_down", "a") in found(policy, int(clock.time()))) is reported
    if reported:
        one = found(policy, int(clock.time()))["jwks_down", "a"]
        assert (one.contact, one.count, one.first_s, one.last_s) == (
            "ops@a.example", 2, NOW_S + 7200, NOW_S + 7200 + down_s)  # fmt: skip
        assert one.evidence == (
            ("key set", URL),
            ("failed: connect", "1 times"),
            ("failed: status", "1 times"),
        )
        policy.note(Event(name="fetch_ok", issuer=URL))
        assert found(policy, int(clock.time())) == {}


def test_key_set_of_a_real_source_that_is_down() -> None:
    """A real source's own events, fetch by fetch, end in an escalation; the URL's query is not shown."""
    clock = FakeClock(NOW_S)
    policy = Rollout([A], clock=clock.time, key_sources={f"{URL}?key=secret": ISSUER.iss})

    def fetch(url: str, etag: str | None) -> Any:
        raise FetchFailed("connect")

    source = RemoteJWKS(f"{URL}?key=secret", events=policy.note, clock=clock, fetch=fetch)
    source.refresh(wait_s=60)
    for _ in range(5):
        clock.advance(1000)
        source.refresh(wait_s=60)
    one = found(policy, int(clock.time()))["jwks_down", "a"]
    assert one.summary == "its key set could not be fetched for 83 minutes"
    assert one.evidence[0] == ("key set", URL)
    assert one.count >= 6
    assert "secret" not in repr(one)


def test_one_workers_success_ends_the_others_outage() -> None:
    """Workers' records add up: what failed before another's success is over, later failures are not."""
    ours, theirs = SourceRecord(), SourceRecord()
    for at_s in (100, 200, 5000):
        ours.failed(at_s, "connect")
    theirs.succeeded(150)
    ours.add(theirs)
    assert (ours.since_s, ours.last_s, ours.failures) == (150, 5000, 3)
    late = SourceRecord()
    late.succeeded(5001)
    ours.add(late)
    assert (ours.since_s, ours.failures, ours.words) == (0, 0, {})


def test_key_set_of_nobody_alone_is_reported_too() -> None:
    """A key set that no partner, or two, own is reported for none, or for both; a stale record for nobody."""
    clock = FakeClock(NOW_S)
    b = Partner(name="b", issuers=[ISSUER.iss, OTHER.iss])
    policy = Rollout([A, b], clock=clock.time, key_sources={URL: ISSUER.iss})
    for name in (URL, "https://stray.example/keys"):
        policy.note(Event(name="fetch_failed", issuer=name, detail="connect"))
    clock.advance(4000)
    assert set(found(policy, int(clock.time()))) == {
        ("jwks_down", "a"),
        ("jwks_down", "b"),
        ("jwks_down", None),
    }
    clock.advance(86_400)
    assert found(policy, int(clock.time())) == {}


@pytest.mark.parametrize(("span_s", "reported"), [(0, False), (3599, False), (3600, True)])
def test_unknown_kids(span_s: int, reported: bool) -> None:
    """A kid that is unknown for an hour is reported, with how often and since when; a shorter one is not."""
    policy = rollout(A, phase="detection")
    of = engine(policy)
    for at_s, partner in ((NOW_S, "a"), (NOW_S + span_s, "a"), (NOW_S, None), (NOW_S + span_s, None)):
        ask(of, with_header(alg="ES256", kid="k-2026\x1b[31m<b>"), partner, now=at_s)
        ask(of, with_header(alg="ES256", kid=f"once-{at_s}-{partner}"), partner, now=at_s)
    rules = found(policy, NOW_S + span_s)
    assert (("unknown_kids", "a") in rules) is (("unknown_kids", None) in rules) is reported
    if reported:
        one = rules["unknown_kids", "a"]
        assert (one.count, one.first_s, one.last_s) == (2, NOW_S, NOW_S + span_s)
        assert one.evidence == (("kid", "k-2026\\x1b[31m<b> (2 times)"),)
        assert found(policy, NOW_S + span_s + 86_400) == {}  # it is over


def test_flood_of_kids_neither_grows_nor_hides_one() -> None:
    """Made-up kids share one place in a full table: memory is bounded, and the frequent one stays."""
    policy = rollout(A, phase="detection")
    of = engine(policy)
    for number in range(2):
        ask(of, with_header(alg="ES256", kid="real"), "a", now=NOW_S + 3600 * number)
    for number in range(200):
        ask(of, with_header(alg="ES256", kid=f"{number:03}" + "x" * 300), "a", now=NOW_S + 3600)
    kids = policy.evidence.rows()["a", ""].kids
    assert len(kids) == 16
    assert max(map(len, kids)) == 64
    assert found(policy, NOW_S + 3600)["unknown_kids", "a"].evidence == (("kid", "real (2 times)"),)


@pytest.mark.parametrize(("iat_s", "reported"), [
    (600, None), (601, "ahead"), (-600, None), (-601, "behind"), (0, None), (5000, "ahead"),
    (-5000, "behind"),
])  # fmt: skip
@pytest.mark.parametrize("accepted", [True, False])
def test_clock_skew(iat_s: int, reported: str | None, accepted: bool) -> None:
    """A clock off by more than ten minutes is notified of to the second, its tokens good or refused."""
    leeway_s = 86_400 if accepted else None
    policy = rollout(Partner(name="a", leeway_s=3600 if accepted else leeway_s), phase="detection")
    of = engine(policy)
    token = ISSUER.token(ISSUER.claims(NOW_S + iat_s))
    for _ in range(SKEW_TOKENS):
        ask(of, token, "a")
    one = found(policy).get(("clock_skew", "a"))
    assert (one is None) is (reported is None)
    if one is not None:
        assert f"is {reported} by more than 600 s" in one.summary
        assert one.evidence == ((skew_names()[skew_bucket(iat_s)], "10 of 10 tokens"),)
        assert one.count == SKEW_TOKENS
    assert found(policy, NOW_S + 2 * 86_400) == {}


@pytest.mark.parametrize(("shares", "reported"), [
    ({601: 5, 0: 5}, "ahead"), ({601: 4, 0: 6}, None), ({-601: 19, 0: 1}, "behind"), ({-601: 9, 0: 1}, None),
    ({601: 9}, None),
])  # fmt: skip
def test_clock_skew_is_a_matter_of_many_tokens(shares: dict[int, int], reported: str | None) -> None:
    """Half of the tokens from the future, or nearly all from the past, make a skew; few tokens make none."""
    policy = rollout(A, phase="detection")
    of = engine(policy)
    for iat_s, count in shares.items():
        for _ in range(count):
            ask(of, ISSUER.token(ISSUER.claims(NOW_S + iat_s, exp=NOW_S + 3600)), "a")
    one = found(policy).get(("clock_skew", "a"))
    assert (one is None) is (reported is None)
    assert one is None or f"is {reported}" in one.summary


def test_forged_tokens_say_nothing_of_a_clock() -> None:
    """The clock of a token whose signature is bad is not measured: a stranger cannot accuse a partner."""
    policy = rollout(A, phase="detection")
    of = engine(policy)
    head, payload, _ = ISSUER.token(ISSUER.claims(NOW_S + 5000)).split(".")
    for _ in range(SKEW_TOKENS):
        ask(of, f"{head}.{payload}.{good().rpartition('.')[2]}", "a")
        ask(of, OTHER.token(ISSUER.claims(NOW_S + 5000)), "a")
    assert found(policy) == {}
    assert policy.evidence.rows()["a", ""].skew == {}


def test_odd_dates_say_nothing_of_a_clock() -> None:
    """Tokens without a plain iat are not measured."""
    policy = rollout(A, phase="detection")
    of = engine(policy)
    for iat in (None, True, "1800000000"):
        ask(of, ISSUER.token(ISSUER.claims(NOW_S, iat=iat)), "a")
        ask(of, ISSUER.token(ISSUER.claims(NOW_S, iat=iat, exp=NOW_S - 3600)), "a")
    assert policy.evidence.rows()["a", ""].skew == {}


def test_algorithms_not_agreed() -> None:
    """Algorithms that were refused are notified of for a partner, for a day, by name; not for strangers."""
    policy = rollout(Partner(name="a", algorithms=["ES256"]), phase="detection")
    of = engine(policy)
    for partner in ("a", None):
        ask(of, good(alg="EdDSA") if partner else with_header(alg="HS256", kid="x"), partner)
        ask(of, with_header(alg="none"), partner)
        ask(of, with_header(alg="<script>\n" + "A" * 100), partner)
    rules = found(policy)
    assert set(rules) == {("algorithm_not_agreed", "a")}
    one = rules["algorithm_not_agreed", "a"]
    assert one.count == 3
    names = [value for _, value in one.evidence]
    assert "EdDSA (1 times)" in names
    assert "none (1 times)" in names
    assert all(name.isprintable() and len(name) < 80 for name in names)
    assert ("algorithm_not_agreed", "a") in found(policy, NOW_S + 86_399)
    assert found(policy, NOW_S + 86_400) == {}


def test_buckets_have_names() -> None:
    """Each bucket has a name of its own, and neighbouring seconds fall to the right sides of an edge."""
    assert len(set(skew_names())) == SKEW_BUCKETS
    assert skew_names()[skew_bucket(0)] == "within 10 s"
    assert skew_names()[skew_bucket(600)] == "ahead by 300 to 600 s"
    assert skew_names()[skew_bucket(600.5)] == "ahead by 600 to 1800 s"
    assert skew_names()[skew_bucket(-600)] == "behind by 300 to 600 s"
    assert skew_names()[skew_bucket(-1e9)] == "behind by over 3600 s"
    assert skew_names()[skew_bucket(1e9)] == "ahead by over 3600 s"


@pytest.mark.parametrize(("ahead_s", "reported"), [(AHEAD_S, True), (AHEAD_S + 1, False)])
def test_a_kid_seen_far_in_the_future_is_no_escalation(ahead_s: int, reported: bool) -> None:
    """What a worker's clock put far ahead of now does not keep an escalation alive until then."""
    counts = Counts()
    counts.rows["a", ISSUER.iss] = Row(kids={"k9": [5, NOW_S - 90_000, NOW_S + ahead_s]})
    assert bool(escalations(Rollout([A]), counts, NOW_S)) is reported


def test_a_clock_set_back_does_not_hide_a_kid_in_use() -> None:
    """A kid counted after the clock was set back was last seen then, alone and beside another worker's."""
    future_s = NOW_S + 40 * 86_400
    table = {"k9": [1, NOW_S - 7200, future_s]}
    count_name(table, "k9", NOW_S)
    assert table == {"k9": [2, NOW_S - 7200, NOW_S]}
    good, wrong = [1, NOW_S - 7200, NOW_S], [1, future_s, future_s]
    for mine, theirs in ((good, wrong), (wrong, good)):
        merged = {"k9": list(mine)}
        add_names(merged, {"k9": theirs}, now_s=NOW_S)
        assert merged == {"k9": [2, NOW_S - 7200, NOW_S]}
