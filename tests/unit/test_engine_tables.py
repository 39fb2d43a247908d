"""The tables behind an engine: known headers, tables, generations, and the fast paths' own watch."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import tokens
from tokens import ISS, NOW_S, code_of

import rapidjws
from rapidjws import Engine, Verifier, _native
from rapidjws.verify import table_builder
from rapidjws.verify.pipeline import Snapshot

UNKNOWN = _native.HEADER_UNKNOWN


def core_status(engine: Engine | Verifier, text: str) -> int:
    """Return what the core alone says: a header that it does not know stays unknown."""
    result = engine._snapshot.verify_one(text.encode(), NOW_S * 10**9)
    return result & 0xFF if isinstance(result, int) else _native.OK


def forged(text: str) -> str:
    """Return the token with a signature of zeros."""
    front, _, last = text.rpartition(".")
    return f"{front}.{tokens.b64url(bytes(len(tokens.b64url_decode(last))))}"


def test_a_header_is_known_after_a_good_signature_only() -> None:
    """A refused token teaches the table nothing; a verified one makes its header known."""
    engine = tokens.engine()
    good = tokens.token()
    assert code_of(engine, forged(good)) == "signature_invalid"
    assert core_status(engine, good) == UNKNOWN
    assert code_of(engine, good) == "ok"
    assert core_status(engine, good) == _native.OK
    assert code_of(engine, forged(good)) == "signature_invalid"


def test_an_expired_token_is_good_enough_to_know_its_header() -> None:
    """What counts is the signature: the header of an expired token is known, the token refused again."""
    engine = tokens.engine()
    expired = tokens.token(exp=NOW_S - 3600)
    assert code_of(engine, expired) == "expired"
    assert core_status(engine, tokens.token()) == _native.OK


def test_a_new_header_is_split_and_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core splits a header it does not know and gives its length; Python decodes it once."""
    engine, text = tokens.engine(), tokens.token()
    header = text.partition(".")[0].encode()
    verdict = engine._snapshot.verify_one(text, NOW_S * 10**9)
    assert (verdict & 0xFF, verdict >> 9) == (UNKNOWN, len(header))
    decoded: list[bytes] = []
    real = _native.b64url_decode
    monkeypatch.setattr(_native, "b64url_decode", lambda part: decoded.append(part) or real(part))
    assert engine.verify(text, now=NOW_S).header == {"alg": "ES256", "kid": "k1-es256"}
    assert decoded.count(header) == 1


def test_a_known_header_is_known_by_all_its_bytes() -> None:
    """Another spelling of a known header takes the long way, with all its checks."""
    verifier = Verifier(tokens.public("ES256"), algorithms=["ES256"])
    jwk = tokens.key("ES256")
    assert code_of(verifier, tokens.token()) == "ok"
    spaced = tokens.sign(jwk, b'{"alg": "ES256", "kid": "k1-es256"}', b"{}")
    assert core_status(verifier, spaced) == UNKNOWN
    assert code_of(verifier, spaced) == "ok"
    critical = tokens.sign(jwk, b'{"alg":"ES256","kid":"k1-es256","crit":["x"],"x":1}', b"{}")
    assert code_of(verifier, critical) == "crit_unsupported"


def test_the_header_table_is_bounded() -> None:
    """A signer with ever new headers fills the table to its bound; everything still verifies after."""
    engine = tokens.engine("HS256")
    jwk = tokens.key("HS256")
    many = [tokens.token("HS256", header={"n": number}) for number in range(3000)]
    results = engine.verify_many(many, NOW_S)
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
    known = sum(core_status(engine, one) == _native.OK for one in many)
    assert 0 < known < 3000
    late = tokens.token("HS256", header={"late": True})
    assert code_of(engine, late) == "ok"
    assert core_status(engine, late) == UNKNOWN
    assert code_of(engine, many[0]) == "ok"
    assert jwk.kid is not None


def test_known_headers_do_not_outlive_their_generation() -> None:
    """A change of keys begins with an empty header table; publishing precomputed tables keeps it."""
    engine = tokens.engine()
    good = tokens.token()
    assert code_of(engine, good) == "ok"
    engine._publish_tables()
    assert core_status(engine, good) == _native.OK
    engine.replace_keys(ISS, [tokens.public("ES256"), tokens.public("ES256", "k2")])
    assert core_status(engine, good) == UNKNOWN
    assert code_of(engine, good) == "ok"


def test_a_batch_finishes_on_the_keys_it_began_with() -> None:
    """A snapshot taken before a change still verifies by the old keys, and only it does."""
    engine = tokens.engine()
    good = tokens.token()
    before: Snapshot = engine._snapshot
    engine.replace_keys(ISS, tokens.public("ES256", "k2"))
    assert before.complete_or_raise(good, before.verify_one(good, NOW_S * 10**9), NOW_S * 10**9).issuer == ISS
    assert code_of(engine, good) == "unknown_kid"


def test_unchanged_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of one key builds that key alone: the others keep what was prepared for them."""
    monkeypatch.setattr(table_builder.TableBuilder, "submit", lambda *_: None)  # else k2 may have a table
    engine = tokens.engine()
    engine.precompute()
    (before,) = engine._snapshot.table.slots
    engine.replace_keys(ISS, [tokens.public("ES256"), tokens.public("ES256", "k2")])
    assert engine._snapshot.table.slots[0] is before
    assert engine.precomputed_kids == ("k1-es256",)
    engine.replace_keys(ISS, tokens.public("ES256", "k2"))
    assert engine.precomputed_kids == ()


def wait_for(condition: Any) -> None:
    """Wait a while for something that a background thread does."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: [engine.verify(tokens.token(), NOW_S) for _ in range(12)],
        lambda engine: engine.verify_many([tokens.token()] * 12, NOW_S),
    ],
    ids=["single", "batch"],
)
def test_a_key_earns_its_table(ask: Any) -> None:
    """A key that verified often enough gets a table, by single calls and by batches alike."""
    engine = Engine(tokens.issuer(), precompute_threshold=8)
    assert engine.precomputed_kids == ()
    ask(engine)
    wait_for(lambda: engine.precomputed_kids == ("k1-es256",))
    assert code_of(engine, tokens.token()) == "ok"
    assert code_of(engine, forged(tokens.token())) == "signature_invalid"


def test_refusals_earn_nothing() -> None:
    """Tokens with bad signatures never earn a key its table."""
    engine = Engine(tokens.issuer(), precompute_threshold=2)
    engine.verify_many([forged(tokens.token())] * 50, NOW_S)
    time.sleep(0.1)
    assert engine.precomputed_kids == ()


@pytest.mark.parametrize(
    "options", [{"precompute_threshold": 0}, {"acceleration": "openssl"}, {"precompute_budget_bytes": 0}]
)
def test_no_tables_where_none_are_wanted(options: dict[str, Any]) -> None:
    """Without threshold, budget or acceleration no key gets a table on its own."""
    engine = Engine(tokens.issuer(), **options)
    engine.verify_many([tokens.token()] * 200, NOW_S)
    time.sleep(0.1)
    assert engine.precomputed_kids == ()
    assert code_of(engine, tokens.token()) == "ok"


def test_tables_stay_within_their_budget() -> None:
    """With room for two tables, preloading builds two, and a third key displaces the coldest."""
    names = ("k1", "k2", "k3")
    need = _native.precomputed_bytes(_native.ALG_NUMBERS["ED25519"])
    if not need:
        pytest.skip("no tables on this platform")
    engine = Engine(
        tokens.issuer("EdDSA", keys=[tokens.public("EdDSA", name) for name in names]),
        precompute_budget_bytes=2 * need,
        precompute_threshold=4,
    )
    assert engine.precompute() == 2
    assert set(engine.precomputed_kids) == {"k1-eddsa", "k2-eddsa"}
    for _ in range(20):
        engine.verify(tokens.token("EdDSA", "k2"), NOW_S)
    engine.verify_many([tokens.token("EdDSA", "k3")] * 10, NOW_S)
    wait_for(lambda: "k3-eddsa" in engine.precomputed_kids)
    assert set(engine.precomputed_kids) == {"k2-eddsa", "k3-eddsa"}
    for name in names:
        assert code_of(engine, tokens.token("EdDSA", name)) == "ok"


def test_samples_go_to_libcrypto_as_well() -> None:
    """Of the acceptances of a fast path a share is verified again, and they agree."""
    engine = Engine(tokens.issuer("ES256"))
    engine.precompute()
    before = _native.acceleration_report()
    _native.set_sampling(1)
    try:
        engine.verify_many([tokens.token()] * 100, NOW_S)
        engine.verify(tokens.token(), NOW_S)
    finally:
        _native.set_sampling(_native.SAMPLE_INTERVAL)
    after = _native.acceleration_report()
    assert after.sampled - before.sampled >= 100
    assert (after.mismatches, after.off) == (0, False)


@pytest.mark.tsan
@pytest.mark.memcheck
def test_keys_change_under_load() -> None:
    """Threads that verify while keys change see the old or the new keys whole, and never anything else."""
    engine = Engine(tokens.issuer("HS256", keys=tokens.public("HS256", "k1")), workers=2)
    texts = {name: tokens.token("HS256", name) for name in ("k1", "k2")}
    stop = threading.Event()
    odd: list[str] = []

    def verify() -> None:
        while not stop.is_set():
            for one in engine.verify_many([texts["k1"], texts["k2"]] * 20, NOW_S):
                code = "ok" if isinstance(one, rapidjws.VerifiedJWS) else one.code
                if code not in ("ok", "unknown_kid"):
                    odd.append(code)

    threads = [threading.Thread(target=verify) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200):
        engine.replace_keys(ISS, tokens.public("HS256", ("k1", "k2")[number % 2]))
    stop.set()
    for thread in threads:
        thread.join()
    assert odd == []
    assert code_of(engine, texts["k2"]) == "ok"
    assert code_of(engine, texts["k1"]) == "unknown_kid"


@pytest.mark.tsan
def test_hot_tables_are_published_under_load() -> None:
    """Threads that verify while tables are built, published and dropped accept every good token."""
    engine = Engine(tokens.issuer("ES256", "EdDSA"), precompute_threshold=8, workers=2)
    texts = [tokens.token("ES256"), tokens.token("EdDSA")]
    stop = threading.Event()
    refused: list[Any] = []

    def verify() -> None:
        while not stop.is_set():
            results = engine.verify_many([*texts * 8, forged(texts[0])], NOW_S)
            refused.extend(one for one in results[:-1] if not isinstance(one, rapidjws.VerifiedJWS))
            if isinstance(results[-1], rapidjws.VerifiedJWS):
                refused.append("accepted a forgery")

    threads = [threading.Thread(target=verify) for _ in range(3)]
    for thread in threads:
        thread.start()
    both = [tokens.public("ES256"), tokens.public("EdDSA")]
    for _ in range(15):
        engine.replace_keys(ISS, [*both, tokens.public("ES256", "k2")])
        engine.precompute()
        engine.replace_keys(ISS, both)
    stop.set()
    for thread in threads:
        thread.join()
    assert refused == []


def test_preheating_builds_missing_tables_beside_the_traffic() -> None:
    """Keys get their tables without a token, as far as there is room; nothing is missing afterwards."""
    engine = tokens.engine()
    assert engine.precomputed_kids == ()
    assert engine.precompute_in_background(1)
    end_s = time.monotonic() + 60
    while engine.precompute_in_background(1):
        assert time.monotonic() < end_s
        time.sleep(0.01)
    assert set(engine.precomputed_kids) == {key.jwk.kid for key in engine._snapshot.table.slots}
    assert code_of(engine, tokens.token()) == "ok"
    assert not Engine(tokens.issuer(), precompute_threshold=0).precompute_in_background(1)
    assert not Engine(tokens.issuer(), precompute_budget_bytes=0).precompute_in_background(1)
    assert not Engine(tokens.issuer(), acceleration="openssl").precompute_in_background(1)
