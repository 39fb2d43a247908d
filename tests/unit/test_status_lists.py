"""Token Status Lists (draft-ietf-oauth-status-list): what a list refuses, and what of it nobody believes."""

from __future__ import annotations

import threading
import time
import zlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest
import tokens
from statuses import (
    ISSUER,
    OTHER,
    URL,
    FakeClock,
    Held,
    Served,
    at,
    encoded,
    engine,
    listed,
    packed,
    source,
    token,
)

from rapidjws import ConfigurationError, Engine, Issuer, RapidJWSError
from rapidjws.keys.fetch import Answer
from rapidjws.statuslist import StatusLists, StatusListSource
from rapidjws.statuslist.status_list import StatusList, StatusListRefused, status_list_of
from rapidjws.verify.protocols import Event

ONE_BIT = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
TWO_BITS = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
MOST = 1024


def test_the_drafts_examples() -> None:
    """Section 4.1 and its further example: 0xB9A3 of one bit, 0xC944F9 of two bits, and their encodings."""
    one = status_list_of({"bits": 1, "lst": "eNrbuRgAAhcBXQ"}, MOST)
    assert [one.status(index) for index in range(16)] == ONE_BIT
    two = status_list_of({"bits": 2, "lst": "eNo76fITAAPfAgc"}, MOST)
    assert [two.status(index) for index in range(12)] == TWO_BITS
    assert zlib.decompress(tokens.b64url_decode(packed(ONE_BIT, 1))) == b"\xb9\xa3"
    assert zlib.decompress(tokens.b64url_decode(packed(TWO_BITS, 2))) == b"\xc9\x44\xf9"


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_each_place_of_a_list_is_its_own(bits: int) -> None:
    """One status that is set is read at its index and at no other, at every size."""
    count = 8 * 8 // bits
    for index in range(count):
        statuses = [0] * count
        statuses[index] = (1 << bits) - 1
        found = status_list_of({"bits": bits, "lst": packed(statuses, bits)}, MOST)
        assert [found.status(one) for one in range(count)] == statuses
        assert [found.status(one) for one in (count, count + 1, 2**70)] == [None] * 3
    assert len(found) == count


BAD_LISTS: list[tuple[str, Any, str]] = [
    ("no object", "eNrbuRgAAhcBXQ", "malformed"),
    ("no bits", {"lst": packed([0], 1)}, "malformed"),
    ("three bits", {"bits": 3, "lst": packed([0], 1)}, "malformed"),
    ("bits of zero", {"bits": 0, "lst": packed([0], 1)}, "malformed"),
    ("sixteen bits", {"bits": 16, "lst": packed([0], 1)}, "malformed"),
    ("bits as text", {"bits": "1", "lst": packed([0], 1)}, "malformed"),
    ("bits as a switch", {"bits": True, "lst": packed([0], 1)}, "malformed"),
    ("bits with a fraction", {"bits": 1.0, "lst": packed([0], 1)}, "malformed"),
    ("no lst", {"bits": 1}, "malformed"),
    ("an empty lst", {"bits": 1, "lst": ""}, "malformed"),
    ("an lst of nothing", {"bits": 1, "lst": encoded(b"")}, "malformed"),
    ("an lst that is a list", {"bits": 1, "lst": [1]}, "malformed"),
    ("padding", {"bits": 1, "lst": encoded(b"\xb9\xa3") + "="}, "malformed"),
    ("base64 of the other alphabet", {"bits": 1, "lst": "eNrb+Rg/AhcBXQ"}, "malformed"),
    ("not ASCII", {"bits": 1, "lst": "\u00e9"}, "malformed"),
    ("not compressed", {"bits": 1, "lst": "uaM"}, "malformed"),
    ("cut off", {"bits": 1, "lst": encoded(b"\xb9\xa3" * 99)[:-8]}, "malformed"),
    ("without its checksum", {"bits": 1, "lst": urlsafe_b64encode(zlib.compress(b"\xb9\xa3" * 99, 9)[:-4])
     .rstrip(b"=").decode()}, "malformed"),
    ("a wrong checksum", {"bits": 1, "lst": "eNrbuRgAAhcBXA"}, "malformed"),
    ("raw DEFLATE", {"bits": 1, "lst": urlsafe_b64encode(zlib.compress(b"\xb9\xa3", 9)[2:-4])
     .rstrip(b"=").decode()}, "malformed"),
    ("more behind it", {"bits": 1, "lst": urlsafe_b64encode(zlib.compress(b"\0") * 2).rstrip(b"=").decode()},
     "malformed"),
    ("one octet too many", {"bits": 1, "lst": encoded(b"\0" * (MOST + 1))}, "too_large"),
    ("a bomb", {"bits": 1, "lst": encoded(b"\0" * 50_000_000)}, "too_large"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "reason"), [row[1:] for row in BAD_LISTS], ids=[row[0] for row in BAD_LISTS]
)
def test_a_claim_that_holds_no_list(claim: Any, reason: str) -> None:
    """What is malformed is none, and what grows too large is not grown."""
    with pytest.raises(StatusListRefused) as refused:
        status_list_of(claim, MOST)
    assert refused.value.reason == reason
    assert isinstance(status_list_of({"bits": 1, "lst": encoded(b"\0" * MOST)}, MOST), StatusList)


def test_a_bomb_takes_no_more_memory_than_its_limit() -> None:
    """50 MB that come as 50 kB are left packed."""
    import tracemalloc

    bomb = {"bits": 1, "lst": encoded(b"\0" * 50_000_000)}
    tracemalloc.start()
    try:
        with pytest.raises(StatusListRefused):
            status_list_of(bomb, MOST)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


CASES: list[tuple[str, Any, str]] = [
    ("valid", at(0), "ok"),
    ("invalid", at(1), "status_invalid"),
    ("suspended", at(2), "status_suspended"),
    ("of the application", at(3), "status_unknown"),
    ("beyond the list", at(4), "status_unknown"),
    ("far beyond the list", at(2**80), "status_unknown"),
    ("without a status", None, "ok"),
    ("a status of another kind", {"other": 1}, "ok"),
    ("a status that is text", "valid", "malformed_claim"),
    ("a list that is text", {"status_list": "1"}, "malformed_claim"),
    ("a list that is null", {"status_list": None}, "malformed_claim"),
    ("no index", {"status_list": {"uri": URL}}, "malformed_claim"),
    ("a negative index", at(-1), "malformed_claim"),
    ("an index as text", at("0"), "malformed_claim"),
    ("an index as a switch", at(False), "malformed_claim"),
    ("an index with a fraction", at(0.0), "malformed_claim"),
    ("no address", {"status_list": {"idx": 0}}, "malformed_claim"),
    ("an address that is a list", at(0, [URL]), "malformed_claim"),
    ("an address that nobody configured", at(0, "https://evil.example/list"), "status_list_unavailable"),
    ("an address with a slash more", at(0, f"{URL}/"), "status_list_unavailable"),
    ("an address in capitals", at(0, URL.upper()), "status_list_unavailable"),
]


@pytest.mark.parametrize(("status", "code"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_a_status_comes_to(status: Any, code: str) -> None:
    """By verify, by decide and in a batch alike; and no address of a token is fetched."""
    served = Served(listed())
    lists = source(served)
    assert lists.refresh()
    asking = engine(lists)
    made = token(status)
    decision = asking.decide(made)
    assert decision.code == code
    assert decision.outcome == (
        "permit" if code == "ok" else "indeterminate" if code == "status_list_unavailable" else "deny"
    )
    (batched,) = asking.verify_many([made])
    assert getattr(batched, "code", "ok") == code
    if code != "ok":
        with pytest.raises(RapidJWSError) as refused:
            asking.verify(made)
        assert refused.value.code == code
    assert {url for url, _ in served.asked} == {URL}


def test_a_status_can_be_required() -> None:
    """Then a token of the lists' issuers without one is refused; another issuer's is not concerned."""
    lists = source(Served(listed()))
    lists.refresh()
    asking = engine(lists, required=True)
    assert asking.decide(token(at(0))).code == "ok"
    assert [asking.decide(token(one)).code for one in (None, {"other": 1}, {})] == ["missing_claim"] * 3
    assert asking.decide(token(by=OTHER)).code == "ok"


def test_a_list_of_another_issuer_says_nothing() -> None:
    """An index counts the tokens of the list's issuer alone."""
    lists = source(Served(listed()))
    lists.refresh()
    mine = source(Served(None))
    other = StatusListSource(
        "https://other.example/1", issuer=OTHER.iss, keys=OTHER.jwks, algorithms=["ES256"]
    )
    issuers = [Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience="https://api.example")
               for one in (ISSUER, OTHER)]  # fmt: skip
    statuses = Held(lists, other)
    asking = Engine(*issuers, workers=1, status_lists=statuses)
    assert asking.decide(token(at(0), by=OTHER)).code == "claim_mismatch"
    assert asking.decide(token(at(0, other.url), by=OTHER)).code == "status_list_unavailable"
    assert mine.current() is None


BAD_TOKENS: list[tuple[str, bytes | None, str]] = [
    ("signed by somebody else", listed(by=OTHER), "unknown_kid"),
    ("of another URL", listed(sub="https://as.example/statuslists/2"), "other_list"),
    ("of no URL", listed(sub=None), "missing_claim"),
    ("of another issuer", listed(iss=OTHER.iss), "other_issuer"),
    ("of another type", listed(header={"typ": "JWT"}), "typ_mismatch"),
    ("an access token", listed(header={"typ": "at+jwt"}), "typ_mismatch"),
    ("without iat", listed(iat=None), "missing_claim"),
    ("over", listed(exp=int(time.time()) - 60), "expired"),
    ("too old", listed(iat=int(time.time()) - 90_000), "too_old"),
    ("to come", listed(iat=int(time.time()) + 36_000), "issued_in_future"),
    ("a ttl of zero", listed(ttl=0), "malformed"),
    ("a negative ttl", listed(ttl=-1), "malformed"),
    ("a ttl as text", listed(ttl="60"), "malformed"),
    ("a ttl as a switch", listed(ttl=True), "malformed"),
    ("without a list", listed(status_list=None), "missing_claim"),
    ("with an empty one", listed(status_list={}), "claim_mismatch"),
    ("no token", b"{}", "malformed_token"),
    ("nothing", b"", "malformed_token"),
    ("no answer", None, "timeout"),
]


@pytest.mark.parametrize(("body", "why"), [row[1:] for row in BAD_TOKENS], ids=[row[0] for row in BAD_TOKENS])
def test_a_token_that_is_no_list(body: bytes | None, why: str) -> None:
    """It brings none, says why, and tokens are indeterminate: nobody knows."""
    events: list[Event] = []
    lists = source(Served(body), events=events.append)
    assert not lists.refresh()
    assert lists.current() is None
    assert [(one.name, one.detail) for one in events] == [
        ("status_list_fetched", why), ("status_list_failed", why),
    ]  # fmt: skip
    decision = engine(lists).decide(token(at(0)))
    assert (decision.outcome, decision.code) == ("indeterminate", "status_list_unavailable")


def test_a_symmetric_algorithm_signs_no_list() -> None:
    """Section 5.1: no MAC, not even where the issuer's tokens have one."""
    with pytest.raises(ConfigurationError, match="asymmetric"):
        StatusListSource(URL, issuer=ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256", "HS256"])


def test_the_signatures_word_holds_where_it_was_chosen() -> None:
    """Without a list, and only then, and it is said; a list that is here refuses as ever."""
    served, events = Served(None), list[Event]()
    lists = source(served)
    asking = engine(lists, on_failure="signature", events=events.append)
    assert asking.decide(token(at(1))).code == "ok"
    assert [one.name for one in events] == ["status_unchecked"]
    assert asking.decide(token("valid")).code == "malformed_claim"
    served.body = listed()
    lists.refresh()
    assert asking.decide(token(at(1))).code == "status_invalid"


def test_an_older_list_does_not_come_back() -> None:
    """A list of before a revocation, still within its exp, is refused, and the newer one goes on."""
    now_s = int(time.time())
    served = Served(listed([1], iat=now_s - 10))
    lists = source(served)
    assert lists.refresh()
    asking = engine(lists)
    served.body = listed([0], iat=now_s - 20)
    assert not lists.refresh()
    assert asking.decide(token(at(0))).code == "status_invalid"
    served.body = listed([0], iat=now_s - 10)
    assert lists.refresh()
    assert asking.decide(token(at(0))).code == "ok"


def test_how_long_a_list_is_used_without_its_server() -> None:
    """For its ttl or refresh_s, the shorter, and stale_limit_s more; a failed fetch changes nothing."""
    clock, served = FakeClock(), Served(listed(ttl=30))
    lists = source(served, refresh_s=60, stale_limit_s=100, clock=clock)
    assert lists.refresh()
    served.body = None
    clock.now_s += 129
    assert not lists.refresh()
    assert lists.current() is not None
    clock.now_s += 2
    assert lists.current() is None


@pytest.mark.parametrize("ends", [{"exp": 40}, {"iat": -86_360, "exp": None}])
def test_a_list_ends_by_its_own_dates(ends: dict[str, Any]) -> None:
    """At its exp, or max_age_s after its iat, whatever stale_limit_s says, and a 304 makes it no younger."""
    clock = FakeClock()
    dates = {name: None if value is None else int(clock.now_s) + value for name, value in ends.items()}
    served = Served(listed(**dates))
    served.headers = {"etag": '"1"'}
    lists = source(served, leeway_s=0, clock=clock)
    assert lists.refresh()
    assert lists.current() is not None
    clock.now_s += 41
    assert lists.current() is None
    assert lists.refresh()
    assert served.asked == [(URL, None), (URL, '"1"')]
    assert lists.current() is None


def test_the_same_list_is_fetched_once_at_a_time() -> None:
    """A server that answers late is asked once, and verification never waits for it."""
    begun, answer = threading.Event(), threading.Event()
    asked: list[str] = []

    def slow(url: str, etag: str | None) -> Answer:
        asked.append(url)
        begun.set()
        answer.wait(30)
        return Answer(status=200, headers={}, body=listed())

    lists = source(Served(None), fetch=slow)
    try:
        lists.start()
        lists.start()
        assert begun.wait(30)
        for _ in range(5):
            lists._begin()
        assert engine(lists).decide(token(at(0))).code == "status_list_unavailable"
        assert asked == [URL]
    finally:
        answer.set()
    end_s = time.monotonic() + 30
    while lists.current() is None and time.monotonic() < end_s:
        time.sleep(0.01)
    assert engine(lists).decide(token(at(0))).code == "ok"


def test_an_engine_fetches_its_lists() -> None:
    """The engine starts what it is given; a first token may come too early, and is indeterminate then."""
    fetched = threading.Event()
    lists = source(Served(listed([1])), events=lambda event: fetched.set())
    asking = Engine(
        Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="https://api.example"),
        workers=1,
        status_lists=StatusLists(lists),
    )
    assert fetched.wait(30)
    assert asking.decide(token(at(0))).code == "status_invalid"


def test_a_refusal_by_status_uses_nothing_up() -> None:
    """The status comes before the record of a use: a suspended token is good once later."""
    from rapidjws import Replay
    from rapidjws.stores import MemoryReplayStore

    served = Served(listed([2]))
    lists = source(served)
    lists.refresh()
    statuses = Held(lists)
    rules = Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="https://api.example",
                   replay=Replay(store=MemoryReplayStore()))  # fmt: skip
    asking = Engine(rules, workers=1, status_lists=statuses)
    made = token(at(0), jti="1")
    assert asking.decide(made).code == "status_suspended"
    served.body = listed([0])
    lists.refresh()
    assert [asking.decide(made).code for _ in range(2)] == ["ok", "replayed"]


def test_what_is_refused_at_the_start() -> None:
    """No list, one URL twice, http, and limits that are none."""
    lists = source(Served(None))
    for made in (
        lambda: StatusLists(),
        lambda: StatusLists(lists, source(Served(None))),
        lambda: StatusLists(lists, on_failure="permit"),  # type: ignore[arg-type]
        lambda: StatusLists("https://as.example/1"),  # type: ignore[arg-type]
        lambda: source(Served(None), issuer=""),
        lambda: source(Served(None), refresh_s=1),
        lambda: source(Served(None), max_list_bytes=0),
        lambda: source(Served(None), state_dir="/nowhere/at/all"),
        lambda: StatusListSource("http://a.example/1", issuer="i", keys=ISSUER.jwks, algorithms=["ES256"]),
    ):
        with pytest.raises(ConfigurationError):
            made()


def test_a_registry_reads_the_status_too() -> None:
    """Of issuers that are looked up, for the first token of a header and for those that follow."""
    from rapidjws import IssuerRegistry

    def lookup(iss: str) -> Issuer | None:
        if iss != ISSUER.iss:
            return None
        return Issuer(iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="https://api.example")

    lists = source(Served(listed()))
    lists.refresh()
    registry = IssuerRegistry(lookup, status_lists=Held(lists))
    for _ in range(3):
        assert [registry.decide(token(at(index))).code for index in (0, 1, 2)] == [
            "ok", "status_invalid", "status_suspended",
        ]  # fmt: skip
    found = registry.verify_many([token(at(index)) for index in (0, 1)])
    assert [getattr(one, "code", "ok") for one in found] == ["ok", "status_invalid"]
