"""Issuers that are looked up by name when their tokens come: rapidjws.IssuerRegistry."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import tokens
from registries import LIMIT_S, Directory, code, issuer, name_of, registry, token, until
from tokens import AUD, NOW_S

import rapidjws
from rapidjws import Event, Issuer
from rapidjws.jwt import registry_entries, registry_lookups
from rapidjws.verify import verdict_counters
from rapidjws.verify.verdict_counters import VERDICTS


def test_an_issuer_is_looked_up_once_and_verifies() -> None:
    """The first token of an issuer has it looked up; single tokens, batches, decisions and asyncio agree."""
    directory = Directory()
    engine = registry(directory)
    mine, other = token(name_of(1)), token(name_of(2))
    assert tokens.code_of(engine, mine) == "ok"
    assert engine.verify(mine, NOW_S).issuer == name_of(1)
    assert engine.decide(other, now=NOW_S).outcome == "permit"
    assert asyncio.run(engine.averify(other, NOW_S)).claims["iss"] == name_of(2)
    both = engine.decide_many([(mine, None, None), (other, None, None)], now=NOW_S)
    assert [one.outcome for one in both] == ["permit", "permit"]
    assert directory.asked == [name_of(1), name_of(2)]
    assert threading.get_ident() not in directory.threads
    assert isinstance(engine, rapidjws.Engine)
    assert engine.registry_status().issuers == 2


def test_a_key_verifies_for_its_own_issuer_only() -> None:
    """A token of one issuer that names another one is refused, with a header that is known or new."""
    directory = Directory()
    directory.others = {"https://b.example": lambda: issuer("https://b.example", "k2")}
    engine = registry(directory)
    shared = {"kid": "one"}
    k1 = tokens.renamed(tokens.key("ES256", "k1"), "one")
    k2 = tokens.renamed(tokens.key("ES256", "k2"), "one")
    directory.others = {
        "https://a.example": lambda: tokens.issuer(iss="https://a.example", keys=[k1.public()]),
        "https://b.example": lambda: tokens.issuer(iss="https://b.example", keys=[k2.public()]),
    }
    a = tokens.token(jwk=k1, header=shared, iss="https://a.example")
    b = tokens.token(jwk=k2, header=shared, iss="https://b.example")
    forged = tokens.token(jwk=k1, header=shared, iss="https://b.example")
    for _ in range(3):
        assert tokens.code_of(engine, a) == "ok"
        assert tokens.code_of(engine, forged) == "signature_invalid"
        assert tokens.code_of(engine, b) == "ok"
    for one in ([a], "nobody", 7, {"x": 1}, None, "", "x" * 2000, True):
        assert tokens.code_of(engine, tokens.token(jwk=k1, header=shared, iss=one)) == "unknown_issuer"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "unknown_issuer"),
        (lambda: 1 / 0, "keys_unavailable"),
        (lambda: "https://b.example", "keys_unavailable"),
        (lambda: issuer("https://b.example"), "keys_unavailable"),
        (lambda: issuer("https://a.example/"), "keys_unavailable"),
        (lambda: tokens.issuer(iss="https://{tid}.example", tenants=["a"]), "keys_unavailable"),
        (
            lambda: Issuer(None, keys=tokens.public("ES256"), algorithms=["ES256"], audience=AUD),
            "keys_unavailable",
        ),
        (
            lambda: tokens.issuer(iss=["https://a.example", "https://b.example"]),  # type: ignore[arg-type]
            "keys_unavailable",
        ),
        (lambda: tokens.issuer(iss="https://a.example", algorithms=["RS256"]), "keys_unavailable"),
    ],
)  # fmt: skip
def test_what_a_look_up_returns_is_checked(given: Any, expected: str) -> None:
    """Only an issuer of exactly the name that was looked up verifies its tokens; a fault is an outage."""
    events: list[Event] = []
    engine = registry(Directory(), events=events.append)
    directory: Any = engine._lookups._lookup
    directory.others["https://a.example"] = given
    assert tokens.code_of(engine, token("https://a.example")) == expected
    assert directory.asked == ["https://a.example"]
    failed = [one for one in events if one.name == "issuer_lookup_failed"]
    assert bool(failed) == (expected == "keys_unavailable")
    assert all(one.issuer is None for one in failed)  # a stranger chose it


def test_a_look_up_that_waits_holds_up_nobody_else() -> None:
    """Tokens of a known issuer verify while another one is looked up; an event loop turns on."""
    going, release = threading.Event(), threading.Event()

    def slow() -> Issuer:
        going.set()
        assert release.wait(LIMIT_S)
        return issuer("https://slow.example")

    directory = Directory()
    directory.others["https://slow.example"] = slow
    engine = registry(directory)
    assert code(lambda: engine.verify(token(name_of(1)), NOW_S)) == "ok"

    async def main() -> str:
        waiting = asyncio.ensure_future(engine.averify(token("https://slow.example"), NOW_S))
        while not going.is_set():
            await asyncio.sleep(0)
        assert (await engine.averify(token(name_of(1)), NOW_S)).issuer == name_of(1)
        assert code(lambda: engine.verify(token("https://slow.example"), NOW_S)) == "keys_unavailable"
        given_up = asyncio.ensure_future(engine.averify(token("https://slow.example"), NOW_S))
        await asyncio.sleep(0)
        given_up.cancel()
        release.set()
        return (await waiting).issuer or ""

    assert asyncio.run(main()) == "https://slow.example"
    assert directory.asked == [name_of(1), "https://slow.example"]


def test_a_look_up_is_waited_for_within_the_bound() -> None:
    """A token whose issuer is not there in time is indeterminate, and the look-up serves the next one."""
    release = threading.Event()

    def slow() -> Issuer:
        assert release.wait(LIMIT_S)
        return issuer("https://slow.example")

    directory = Directory()
    directory.others["https://slow.example"] = slow
    engine = registry(directory, lookup_timeout_s=0)
    text = token("https://slow.example")
    assert tokens.code_of(engine, text) == "keys_unavailable"
    assert engine.decide(text, now=NOW_S).outcome == "indeterminate"
    release.set()
    until(lambda: engine.registry_status().issuers == 1)
    assert tokens.code_of(engine, text) == "ok"
    assert len(directory.asked) == 1


def test_a_token_compared_with_its_sender_waits_for_the_look_up_too() -> None:
    """The first token of an issuer waits for the look-up also where its sender or another moment counts."""
    at_ns = NOW_S * 10**9
    assert registry()._verify_as_of(token(name_of(1)), at_ns, at_ns).issuer == name_of(1)


def test_two_threads_build_one_issuer() -> None:
    """Many threads that bring tokens of an issuer at one time cause one look-up."""
    directory = Directory()
    engine = registry(directory)
    barrier = threading.Barrier(8)
    found: list[str] = []

    def verify() -> None:
        barrier.wait(LIMIT_S)
        found.append(code(lambda: engine.verify(token(name_of(5)), NOW_S)))

    threads = [threading.Thread(target=verify) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LIMIT_S)
    assert found == ["ok"] * 8
    assert directory.asked == [name_of(5)]


def test_strangers_neither_evict_nor_cost_without_limit() -> None:
    """Tokens with made-up names cost a budget of look-ups, are remembered within bounds, and evict nobody."""
    directory = Directory(most=8)
    engine = registry(directory, max_issuers=8, unknown_per_minute=20)
    good = [token(name_of(number)) for number in range(8)]
    assert [code(lambda text=text: engine.verify(text, NOW_S)) for text in good] == ["ok"] * 8  # type: ignore[misc]
    signed = token(name_of(0)).split(".")
    for number in range(300):
        payload = tokens.b64url(f'{{"iss":"https://x{number}.example"}}'.encode())
        found = code(lambda payload=payload: engine.verify(f"{signed[0]}.{payload}.{signed[2]}", NOW_S))  # type: ignore[misc]
        assert found in ("unknown_issuer", "keys_unavailable")
    assert len(directory.asked) <= 8 + 20 + 2
    assert engine.registry_status().lookups_refused > 200
    assert [code(lambda text=text: engine.verify(text, NOW_S)) for text in good] == ["ok"] * 8  # type: ignore[misc]
    assert engine.registry_status().evicted == 0
    assert len(engine._lookups._remembered) <= registry_lookups.REMEMBERED_MAX


def test_forged_tokens_of_real_issuers_evict_no_proven_one() -> None:
    """Issuers for which no token verified take the places of each other only."""
    directory = Directory()
    engine = registry(directory, max_issuers=4, unknown_per_minute=1000)
    for number in range(4):
        engine.verify(token(name_of(number)), NOW_S)
    for number in range(100, 200):
        forged = token(name_of(number), "k2", jwk=tokens.renamed(tokens.key("ES256", "k2"), "k1-es256"))
        assert code(lambda forged=forged: engine.verify(forged, NOW_S)) == "signature_invalid"  # type: ignore[misc]
    before = len(directory.asked)
    for number in range(4):
        engine.verify(token(name_of(number)), NOW_S)
    assert len(directory.asked) == before
    assert engine.registry_status().issuers == 4 + registry_entries.UNPROVEN_MIN


def test_issuers_in_use_stay_and_others_make_room() -> None:
    """The table is bounded; an issuer that verifies tokens outlives those that do not."""
    directory = Directory()
    engine = registry(directory, max_issuers=4, unknown_per_minute=1000)
    for number in range(40):
        engine.verify(token(name_of(number)), NOW_S)
        engine.verify(token(name_of(0)), NOW_S)
    assert len(engine._table.entries()) == 4
    assert directory.asked.count(name_of(0)) == 1
    assert tokens.code_of(engine, token(name_of(1))) == "ok"  # built again
    assert directory.asked.count(name_of(1)) == 2


def test_a_returning_issuer_is_served_while_strangers_flood() -> None:
    """An issuer whose token verified once is looked up again whatever strangers used of the budget."""
    directory = Directory(most=100)
    engine = registry(directory, max_issuers=1, unknown_per_minute=1)
    assert code(lambda: engine.verify(token(name_of(1)), NOW_S)) == "ok"
    assert code(lambda: engine.verify(token(name_of(2)), NOW_S)) == "ok"  # found: given back
    assert code(lambda: engine.verify(token("https://nobody"), NOW_S)) == "unknown_issuer"
    assert code(lambda: engine.verify(token("https://nobody2"), NOW_S)) == "keys_unavailable"
    assert code(lambda: engine.verify(token(name_of(1)), NOW_S)) == "ok"


def test_tokens_that_no_key_could_verify_cause_no_look_up() -> None:
    """A token whose form or header is refused anyway is refused before its issuer is looked up."""
    directory = Directory()
    engine = registry(directory)
    header, payload, signature = token(name_of(1)).split(".")
    for text, expected in (
        ("", "malformed_token"),
        ("a.b", "malformed_token"),
        (f"{header}.{payload}.{signature}.x", "malformed_token"),
        (f"{header}.{payload}", "malformed_token"),
        (f"{header}.!!.{signature}", "malformed_base64url"),
        (f"{header}.{tokens.b64url(b'no json')}.{signature}", "malformed_json"),
        (f"{tokens.b64url(b'{}')}.{payload}.{signature}", "missing_header"),
        ("x" * 100_000, "too_large"),
    ):
        found = tokens.code_of(engine, text)
        assert found == expected or found.startswith("malformed") or expected == "missing_header", (
            text,
            found,
        )
    assert directory.asked == []


def test_names_are_compared_as_they_are() -> None:
    """No normalisation: another spelling of a name, by Unicode, case or escapes, is another name."""
    directory = Directory()
    directory.others = {"https://\u00e9.example": lambda: issuer("https://\u00e9.example")}
    engine = registry(directory)
    assert tokens.code_of(engine, token("https://\u00e9.example")) == "ok"
    for other in (
        "https://e\u0301.example",
        "https://\u00c9.example",
        "https://xn--9ca.example",
        "https://\u00e9.example ",
    ):
        assert tokens.code_of(engine, token(other)) == "unknown_issuer", other


def test_a_burst_of_new_issuers_is_answered_whatever_room_there_is() -> None:
    """Tokens of more issuers than there is room for, all at one time, have their issuers' verdicts."""
    engine = registry(max_issuers=1)
    count = 3 * registry_entries.UNPROVEN_MIN

    async def main() -> list[Any]:
        calls = [engine.averify(token(name_of(number)), NOW_S) for number in range(count)]
        return await asyncio.gather(*calls, return_exceptions=True)

    assert [getattr(one, "issuer", one) for one in asyncio.run(main())] == [
        name_of(number) for number in range(count)
    ]


def test_a_look_up_that_knows_its_names_costs_strangers_nothing() -> None:
    """Where ``knows`` says that there is no such issuer, nothing is looked up and no budget is used."""

    class Known(Directory):
        """A directory that knows its names."""

        def knows(self, iss: str) -> bool:
            """Say whether there is such an issuer."""
            return iss == name_of(1)

    directory = Known()
    engine = registry(directory, unknown_per_minute=1)
    for number in range(2, 50):
        assert code(lambda number=number: engine.verify(token(name_of(number)), NOW_S)) == "unknown_issuer"  # type: ignore[misc]
    assert tokens.code_of(engine, token(name_of(1))) == "ok"
    assert directory.asked == [name_of(1)]


def test_results_of_many_are_placed_by_index() -> None:
    """A batch of tokens of many issuers, good and bad, has each result in its place."""
    engine = registry(Directory(most=20))
    batch: list[Any] = []
    for number in range(30):
        batch += [token(name_of(number)), token(name_of(number), exp=NOW_S - 1000), "x", None]
    found = engine.verify_many(batch, NOW_S)
    for number in range(30):
        codes = [getattr(one, "code", "ok") for one in found[4 * number : 4 * number + 4]]
        assert codes[2:] == ["malformed_token"] * 2
        assert codes[:2] == (["ok", "expired"] if number < 20 else ["unknown_issuer"] * 2)
        if number < 20:
            one = found[4 * number]
            assert isinstance(one, rapidjws.VerifiedJWS)
            assert one.issuer == name_of(number)


def test_tables_of_all_issuers_share_one_budget() -> None:
    """Tables of all issuers together stay within the budget, and those of a dropped one are given back."""
    engine = registry(Directory(), max_issuers=2, precompute_budget_bytes=1 << 20, precompute_threshold=1)
    for number in range(6):
        for _ in range(4):
            engine.verify(token(name_of(number)), NOW_S)
    for entry in engine._table.entries():
        assert entry.engine is not None
        entry.engine.precompute()
    assert 0 < engine.table_status().used_bytes <= 1 << 20
    engine.forget()
    until(lambda: engine.table_status().used_bytes == 0)


@pytest.mark.parametrize(
    "options",
    [
        {"max_issuers": 0}, {"max_issuers": "3"}, {"lookup_timeout_s": -1}, {"refresh_s": 0},
        {"refresh_s": 10, "stale_limit_s": 5},
        {"unknown_ttl_s": -1}, {"unknown_per_minute": 0}, {"cache": rapidjws.TokenCache()}, {"nonsense": 1},
    ],
)  # fmt: skip
def test_settings_are_checked(options: dict[str, Any]) -> None:
    """A setting out of its bounds is refused at construction."""
    with pytest.raises((rapidjws.ConfigurationError, TypeError)):
        registry(Directory(), **options)


def verdicts_of(engine: rapidjws.Engine) -> dict[str, int]:
    """Return issuer label -> how many verdicts are counted under it."""
    assert engine.counters is not None
    found: dict[str, int] = {}
    words = engine.counters.region.words
    for one in engine.counters.region.series():
        if one.name == VERDICTS:
            found[one.labels[0]] = found.get(one.labels[0], 0) + sum(words[one.word : one.word + one.words])
    return {label: count for label, count in found.items() if count}


def test_looked_up_issuers_are_counted_by_name_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first issuers whose tokens verify have a label; those beyond, and strangers, have an empty one."""
    monkeypatch.setattr(verdict_counters, "LOOKED_UP_MAX", 2)
    engine = registry(Directory())
    forged = tokens.token(jwk=tokens.key("ES256", "other"), iss=name_of(9))
    assert engine.decide(forged, now=NOW_S).outcome != "permit"
    for number in (1, 2, 3):
        for _ in range(2):
            assert engine.decide(token(name_of(number)), now=NOW_S).outcome == "permit"
    assert verdicts_of(engine) == {name_of(1): 2, name_of(2): 2, "": 3}
