"""What changes under a registry of issuers: revocations, issuers that go, rules, configured issuers."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

import pytest
import tokens
from listed_revocations import ListedRevocations
from registries import LIMIT_S, Directory, code, issuer, name_of, registry, token, until
from tokens import NOW_S

import rapidjws
from rapidjws import Issuer, Revocation


def test_a_revoked_key_stays_revoked_when_its_issuer_is_built_anew() -> None:
    """What is revoked holds for issuers in memory, not in memory, and built since; lifted, it is over."""
    engine = registry(Directory(), max_issuers=1, unknown_per_minute=1000)
    mine, other = token(name_of(1)), token(name_of(2))
    assert tokens.code_of(engine, mine) == "ok"
    revoked = [engine.revoke(issuer=name_of(1), kid="k1-es256")]
    assert tokens.code_of(engine, mine) == "revoked"
    assert tokens.code_of(engine, other) == "ok"
    assert name_of(1) not in [one.name for one in engine._table.entries()]
    assert tokens.code_of(engine, mine) == "revoked"
    assert asyncio.run(_acode(engine, mine)) == "revoked"
    assert engine.decide(mine, now=NOW_S).code == "revoked"
    for one in revoked:
        engine.unrevoke(one)
    assert tokens.code_of(engine, mine) == "ok"
    for kwargs in (
        {"issuer": name_of(1)},
        {"thumbprint": _thumbprint()},
        {"issued_before": NOW_S},
        {"kid": "k1-es256"},
    ):
        found = engine.revoke(**kwargs)  # type: ignore[arg-type]
        assert tokens.code_of(engine, mine) == "revoked", kwargs
        engine.unrevoke(found)
    assert tokens.code_of(engine, mine) == "ok"


def _thumbprint() -> str:
    found = tokens.public("ES256").thumbprint
    return found() if callable(found) else found


async def _acode(engine: rapidjws.Engine, text: str) -> str:
    try:
        await engine.averify(text, NOW_S)
    except rapidjws.RapidJWSError as refused:
        return refused.code
    return "ok"


def test_revocations_of_others_hold_for_issuers_that_are_looked_up() -> None:
    """A store's revocations hold from the start and as they come; a lost store refuses."""
    store = ListedRevocations()
    store.listed = [Revocation(issuer=name_of(1), kid="k1-es256")]
    engine = registry(Directory(), revocations=store)
    assert tokens.code_of(engine, token(name_of(1))) == "revoked"
    assert tokens.code_of(engine, token(name_of(2))) == "ok"
    store.listed = [Revocation(issuer=name_of(2))]
    store.changed[0]()
    assert tokens.code_of(engine, token(name_of(1))) == "ok"
    assert tokens.code_of(engine, token(name_of(2))) == "revoked"
    store.is_lost = True
    store.changed[0]()
    assert tokens.code_of(engine, token(name_of(1))) == "revocation_store_unavailable"


def test_an_issuer_that_is_gone_is_dropped() -> None:
    """An issuer in use is looked up again beside the traffic, and one that is gone verifies nothing more."""
    directory = Directory()
    engine = registry(directory, refresh_s=0.1, unknown_ttl_s=0)
    text = token(name_of(1))
    assert tokens.code_of(engine, text) == "ok"
    directory.gone.add(name_of(1))
    until(lambda: code(lambda: engine.verify(text, NOW_S)) == "unknown_issuer")
    assert engine.registry_status().issuers == 0
    directory.gone.clear()
    assert tokens.code_of(engine, text) == "ok"


def test_rules_that_changed_come_into_force() -> None:
    """A look-up that brings other rules or keys changes those of the issuer; one that fails keeps them."""
    directory = Directory()
    engine = registry(directory, refresh_s=0.1)
    text = token(name_of(1))
    assert tokens.code_of(engine, text) == "ok"
    directory.others[name_of(1)] = lambda: 1 / 0
    until(lambda: bool(engine.verify(text, NOW_S)) and engine.registry_status().lookups_failed > 0)
    assert tokens.code_of(engine, text) == "ok"
    directory.others[name_of(1)] = lambda: issuer(name_of(1), "k2")
    until(lambda: code(lambda: engine.verify(text, NOW_S)) == "unknown_kid")
    assert tokens.code_of(engine, token(name_of(1), "k2")) == "ok"


def test_an_issuer_is_not_used_past_the_limit_while_look_ups_fail() -> None:
    """Past its limit an issuer that cannot be looked up verifies nothing: it may be gone."""
    directory = Directory()
    engine = registry(directory, refresh_s=0.1, stale_limit_s=0.1)
    text = token(name_of(1))
    engine.verify(text, NOW_S)
    directory.others[name_of(1)] = lambda: 1 / 0
    until(lambda: code(lambda: engine.verify(text, NOW_S)) == "keys_unavailable")


def test_forget_has_an_issuer_looked_up_again() -> None:
    """What was forgotten is looked up before the next token; a look-up of before brings nothing."""
    going, release = threading.Event(), threading.Event()
    directory = Directory()
    engine = registry(directory)
    text = token(name_of(1))
    engine.verify(text, NOW_S)
    directory.others[name_of(1)] = None
    engine.forget(name_of(1))
    assert tokens.code_of(engine, text) == "unknown_issuer"

    def old() -> Issuer:
        going.set()
        assert release.wait(LIMIT_S)
        return issuer(name_of(1))

    directory.others[name_of(1)] = old
    engine.forget()
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(code(lambda: engine.verify(text, NOW_S))))
    waiting.start()
    assert going.wait(LIMIT_S)
    engine.forget(name_of(1))
    directory.others[name_of(1)] = None
    release.set()
    waiting.join(LIMIT_S)
    assert found == ["keys_unavailable"]
    assert tokens.code_of(engine, text) == "unknown_issuer"


def test_issuers_that_are_there_always() -> None:
    """Issuers beside the look-up are never looked up, win over it, and may be replaced."""
    directory = Directory()
    engine = registry(directory, issuer(name_of(1), "k2"))
    assert tokens.code_of(engine, token(name_of(1), "k2")) == "ok"
    assert tokens.code_of(engine, token(name_of(1))) == "unknown_kid"
    assert tokens.code_of(engine, token(name_of(2))) == "ok"
    assert directory.asked == [name_of(2)]
    engine.replace_issuers(issuer(name_of(2), "k2"))
    assert tokens.code_of(engine, token(name_of(2))) == "unknown_kid"
    assert tokens.code_of(engine, token(name_of(1))) == "ok"
    engine.replace_issuers()
    assert engine.ready
    assert [one.iss for one in engine.issuers] == []
    with pytest.raises(rapidjws.ConfigurationError, match="an iss each"):
        registry(directory, Issuer(None, keys=tokens.public("ES256"), algorithms=["ES256"]))


def test_an_issuer_that_was_looked_up_makes_way_for_good() -> None:
    """Once an issuer is configured, its look-up of before is gone: it serves nothing when that goes again."""
    directory = Directory()
    engine = registry(directory)
    assert tokens.code_of(engine, token(name_of(1))) == "ok"
    engine.replace_issuers(issuer(name_of(1), "k2"))
    assert engine.registry_status().issuers == 0
    assert tokens.code_of(engine, token(name_of(1))) == "unknown_kid"
    directory.gone.add(name_of(1))
    engine.replace_issuers()
    assert tokens.code_of(engine, token(name_of(1))) == "unknown_issuer"


@pytest.mark.parametrize(
    ("header", "expected"), [({"crit": []}, "crit_malformed"), ({"crit": ["x"], "x": 1}, "unknown_issuer")]
)
def test_a_header_that_nobody_accepts_causes_no_look_up(header: dict[str, Any], expected: str) -> None:
    """What breaks the rules of crit is refused before; an extension may be one that the issuer takes."""
    directory = Directory(most=0)
    engine = registry(directory)
    head = {"alg": "ES256", "kid": "k1", **header}
    parts = (json.dumps(head).encode(), json.dumps({"iss": name_of(1)}).encode(), b"s" * 64)
    made = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    assert tokens.code_of(engine, made) == expected
    assert (directory.asked == []) is (expected == "crit_malformed")
