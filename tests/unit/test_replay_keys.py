"""What makes two tokens one for the replay memory, and how long an entry lives."""

from __future__ import annotations

from typing import Any

import pytest
from tokens import AUD, ISS, NOW_S, issuer, key, sign, token

from rapidjws import Engine, Replay, VerifiedJWS
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.jwt.replay_rule import ReplayRule, life_s, replay_key
from rapidjws.stores import MemoryReplayStore

ENGINE = Engine(issuer("HS256", audience=AUD, exp_required=False))


def verified(**claims: Any) -> VerifiedJWS:
    """Return a verified token with these claims; None leaves one out."""
    return ENGINE.verify(token("HS256", **claims), NOW_S)


def key_of(iss: str = ISS, **claims: Any) -> bytes:
    """Return the key of a token of an issuer."""
    one = verified(**claims)
    return replay_key(iss, one.claims, one, digest=False)


def test_a_token_is_known_by_issuer_sender_and_jti() -> None:
    """Each of these makes another token; anything else in it does not."""
    same = key_of(jti="a")
    assert len(same) == 32
    assert key_of(jti="a", sub="another", exp=NOW_S + 9) == same
    assert key_of(jti="a", cnf={"x5t#S256": "k"}) == same
    others = [
        key_of(jti="b"),
        key_of("https://other.example", jti="a"),
        key_of(jti="a", client_id="c"),
        key_of(jti="a", client_id="d"),
        key_of(jti="a", cnf={"jkt": "k"}),
        key_of(jti="a", cnf={"jkt": "l"}),
        key_of(jti="a", client_id="c", cnf={"jkt": "k"}),
        key_of(jti="a", client_id="k", cnf={"jkt": "c"}),
    ]
    assert len({same, *others}) == len(others) + 1
    assert key_of(jti="a", azp="c") == key_of(jti="a", client_id="c")
    assert key_of(jti="a", client_id="c", azp="d") == key_of(jti="a", client_id="c")


def test_parts_do_not_run_together() -> None:
    """A letter that moves from one part to the next makes another key."""
    keys = {
        key_of(ISS, jti="abc"),
        key_of(ISS + "a", jti="bc"),
        key_of(ISS, client_id="a", jti="bc"),
        key_of(ISS, cnf={"jkt": "a"}, jti="bc"),
        key_of(ISS, client_id="ab", jti="c"),
        key_of(ISS + "a", client_id="b", jti="c"),
        key_of(ISS, client_id="a", cnf={"jkt": "b"}, jti="c"),
    }
    assert len(keys) == 7


def test_without_a_jti_the_signing_input_counts() -> None:
    """Only by choice; another payload or header makes another token, another signature does not."""
    one, two = verified(sub="a"), verified(sub="b")
    found = [replay_key(ISS, each.claims, each, digest=True) for each in (one, two)]
    assert found[0] != found[1]
    assert found[0] != key_of(jti="a")
    header = {"kid": key("HS256").kid, "alg": "HS256"}
    text = sign(key("HS256"), header, one.payload)
    again = ENGINE.verify(text, NOW_S)
    assert replay_key(ISS, again.claims, again, digest=True) != found[0]


@pytest.mark.parametrize(
    ("claims", "max_age_s", "expected_s"),
    [
        ({"exp": NOW_S + 100}, None, 100),
        ({"exp": NOW_S + 100, "iat": NOW_S}, 1000, 100),
        ({"exp": NOW_S + 1000, "iat": NOW_S}, 100, 100),
        ({"exp": None, "iat": NOW_S - 50}, 100, 50),
        ({"exp": NOW_S + 100.5}, None, 101),
        ({"exp": NOW_S - 30}, None, -30),
        ({"exp": None}, None, 86_400),
    ],
)
def test_an_entry_lives_until_no_rule_accepts_its_token(
    claims: dict[str, Any], max_age_s: int | None, expected_s: int
) -> None:
    """Until the earlier of exp and iat + max_age_s, with the leeway, the widest partner's, and a second."""
    for leeway_s, retry_s in ((0, 0), (60, 0), (60, 240)):
        rule = ReplayRule(replay=Replay(store=MemoryReplayStore()), leeway_s=leeway_s, max_age_s=max_age_s)
        found = life_s(verified(**claims), rule, retry_s, NOW_S * SECOND_NS)
        assert found == max(1, expected_s + leeway_s + retry_s + 1)
