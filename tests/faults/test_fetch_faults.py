"""F1 to F15: what goes wrong in a fetch. The old set serves on, the verdicts stay, the event names it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from issuers import Setup, setup, wait_for

from rapidjws import ConfigurationError
from rapidjws.keys import FileJWKS, RemoteJWKS, Transport
from rapidjws.testing import Fault, make_key

RETRIES: dict[str, Any] = {"retry_min_s": 0.05, "retry_max_s": 0.1}
DEADLINE_S = 0.5


def old_set_serves(at: Setup, word: str) -> None:
    """Make the next fetches fail as scripted and hold that nothing else changes."""
    token = at.token()
    assert at.code(token) == "ok"
    at.source.invalidate()
    at.fails_with(word)
    assert at.code(token) == "ok"
    assert at.engine.ready


def fails(fault: Fault, word: str, **settings: Any) -> None:
    """Hold that a fault is a failed fetch, at the start and later, and that the return is seen."""
    with setup(fault, fresh=RETRIES, **settings) as at:
        assert at.code(at.token()) in ("keys_unavailable", "ok")
        at.ready()
        assert at.reported("fetch_failed")[0].detail == word
        at.events.clear()
        at.issuer.always(fault)
        old_set_serves(at, word)
        at.issuer.always(None)
        wait_for(lambda: at.reported("fetch_ok"))


def test_F01_issuer_accepts_and_says_nothing() -> None:
    """One deadline ends the fetch; meanwhile a known key verifies without waiting."""
    with setup(fresh=RETRIES, trust={"timeout_s": DEADLINE_S}) as at:
        at.ready()
        token = at.token()
        at.issuer.always(Fault(silent=True))
        at.source.invalidate()
        wait_for(lambda: len(at.issuer.requests) == 2)
        started = time.monotonic()
        assert at.code(token) == "ok"
        at.fails_with("timeout")
        assert time.monotonic() - started < 20 * DEADLINE_S
        assert at.code(token) == "ok"


def test_F02_one_byte_at_a_time() -> None:
    """The deadline is for the whole answer: bytes that keep dripping do not stretch it."""
    with setup(fresh=RETRIES, trust={"timeout_s": DEADLINE_S}) as at:
        at.ready()
        at.issuer.always(Fault(drip_s=0.05))
        started = time.monotonic()
        old_set_serves(at, "timeout")
        assert time.monotonic() - started < 20 * DEADLINE_S


@pytest.mark.parametrize(
    ("fault", "word"),
    [(Fault(cut=20), "protocol"), (Fault(body=b'{"keys": [{"kty": "EC", "crv'), "document")],
    ids=["short", "cut"],
)
def test_F03_truncated_answer(fault: Fault, word: str) -> None:
    """A short body and a cut JSON text are failed fetches."""
    fails(fault, word)


@pytest.mark.parametrize("status", [500, 429, 404, 204, 201, 206, 304])
def test_F04_only_200_counts(status: int) -> None:
    """Every status but 200 is a failed fetch; so is a 304 where no ETag was sent."""
    fails(Fault(status=status, headers={"ETag": "none"}), "status", issuer={"etag": False})


def test_F04_retry_after_is_honoured_within_its_cap() -> None:
    """A Retry-After stretches the pause, up to the cap and no further."""
    rules = {**RETRIES, "retry_after_max_s": 1.0}
    with setup(Fault(status=503, headers={"Retry-After": "86400"}), fresh=rules) as at:
        at.ready()
        first, second = [request.at_s for request in at.issuer.requests[:2]]
        assert 0.9 < second - first < 3


def test_F04_etag_and_304() -> None:
    """An unchanged set is confirmed by a 304 and stays the same object."""
    with setup() as at:
        at.ready()
        before = at.engine.key_state(at.issuer.iss)
        assert at.source.refresh()
        assert at.issuer.requests[-1].headers["if-none-match"]
        assert at.reported("fetch_ok")[-1].detail == "304"
        assert at.engine.key_state(at.issuer.iss) is before


@pytest.mark.parametrize("target", ["http://localhost:1/jwks.json", "https://elsewhere.example/jwks.json"])
def test_F05_redirects_are_never_followed(target: str) -> None:
    """A redirect is a failed fetch, wherever it leads."""
    fails(Fault(status=302, headers={"Location": target}), "status")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "data:application/json,{}",
        "ftp://issuer.example/jwks.json",
        "http://issuer.example/jwks.json",
        "https://",
        "https://user:secret@issuer.example/jwks.json",
        "https://issuer.example/jwks.json#part",
        "https://issuer.example/\r\nX: y",
        "https://issuer.example:port/",
        "jwks.json",
        "",
        None,
    ],
)
def test_F06_only_https_is_configured(url: Any) -> None:
    """Every other scheme, and every odd URL, is refused when it is configured."""
    with pytest.raises(ConfigurationError):
        RemoteJWKS(url)


def test_F06_plain_http_has_a_loud_name() -> None:
    """Tests may say so; nothing else makes plain http work."""
    with setup(issuer={"plain": True}, trust={"insecure_allow_http": True}) as at:
        assert at.ready().code(at.token()) == "ok"


def test_F07_refused_connection_and_return() -> None:
    """A refused connection is retried with growing pauses; the old set serves; the return is seen at once."""
    with setup() as at:
        at.ready()
        token = at.token()
        at.issuer.server.down()
        at.source.invalidate()
        wait_for(lambda: len(at.reported("fetch_failed")) >= 3)
        assert at.reported("fetch_failed")[0].detail == "connect"
        assert at.code(token) == "ok"
        at.events.clear()
        at.issuer.server.up()
        wait_for(lambda: at.reported("fetch_ok"))


def test_F07_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without an address is a failed fetch; one that takes too long ends at the deadline."""
    import socket

    def no_name(*_: object, **__: object) -> None:
        raise socket.gaierror("no such name")

    with setup(fresh=RETRIES) as at:
        at.ready()
        monkeypatch.setattr(socket, "getaddrinfo", no_name)
        old_set_serves(at, "dns")
    with setup(fresh=RETRIES, trust={"timeout_s": DEADLINE_S}) as at:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2) or [])
        assert at.code(at.token()) == "keys_unavailable"
        at.fails_with("timeout")


@pytest.mark.parametrize("certificate", ["wrong_host", "expired", "self_signed"])
def test_F08_bad_certificates(certificate: str) -> None:
    """No certificate that does not prove the host brings a key, and nothing switches that off."""
    with setup(issuer={"certificate": certificate}, fresh=RETRIES) as at:
        at.fails_with("tls")
        assert at.code(at.token()) == "keys_unavailable"
        assert at.issuer.requests == []
    assert not [name for name in Transport.__slots__ if "verify" in name]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (Fault(body=b" " * 1_000_000), "too_large"),
        (Fault(chunks=4096), "too_large"),
        (Fault(gzip_bomb=10_000_000), "encoding"),
    ],
    ids=["large", "endless", "bomb"],
)
def test_F09_bodies_past_the_limit(fault: Fault, word: str) -> None:
    """The body is read up to the limit and no further, packed bodies not at all."""
    fails(fault, word)


def test_F10_count_caps() -> None:
    """Too many keys are a failed fetch; a key with too many key_ops is left out; both in linear time."""
    many = {"keys": [{"kty": "EC", "kid": str(number)} for number in range(5000)]}
    fails(Fault(body=json.dumps(many).encode()), "document")
    good = make_key("ES256", kid="good").public().as_dict()
    wide = {**make_key("ES256", kid="wide").public().as_dict(), "key_ops": ["verify"] * 20_000}
    with setup(published=lambda _: [good, wide]) as at:
        started = time.monotonic()
        at.ready()
        assert time.monotonic() - started < 30
        assert at.source.status().kids == ("good",)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"keys": null}', b'{"keys": {}}', b"{}", b"", b"null", b"\xff\xfe"],
)
def test_F11_not_a_key_set(body: bytes) -> None:
    """What is no JWK Set is a failed fetch."""
    fails(Fault(body=body), "document")


@pytest.mark.parametrize("keys", [[], [{"kty": "XYZ", "kid": "a"}], [{"kty": "oct", "k": "AAAA"}]], ids=str)
def test_F11_no_usable_key(keys: list[Any]) -> None:
    """A set without a usable key does not take the place of a good one."""
    fails(Fault(body=json.dumps({"keys": keys}).encode()), "no_usable_key")


@contextmanager
def spoiled_set(spoil: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Iterator[Setup]:
    """Publish bad keys beside the good one and hold that the good one serves."""
    bad = spoil(make_key("ES256", kid="bad").public().as_dict())
    with setup(published=lambda good: [*good, *bad], fresh=RETRIES) as at:
        at.ready()
        assert at.code(at.token()) == "ok"
        assert at.source.status().kids == (at.issuer.published[0]["kid"],)
        yield at


def test_F12_duplicate_kid() -> None:
    """Neither of two keys of one name is used; the event names it; the rest loads."""
    with spoiled_set(lambda bad: [bad, make_key("ES256", kid="bad").public().as_dict()]) as at:
        assert {event.kid for event in at.reported("duplicate_kid")} == {"bad"}


@pytest.mark.parametrize(
    "change", [{"kty": "XYZ"}, {"alg": "XY256"}, {"crv": "P-999"}, {"use": "enc"}], ids=str
)
def test_F13_unknown_kinds_are_skipped(change: dict[str, str]) -> None:
    """A key of a kind not known here is left out and counted."""
    with spoiled_set(lambda bad: [{**bad, **change}]) as at:
        assert at.reported("key_skipped")[0].kid == "bad"


@pytest.mark.parametrize("change", [{"x": "AA"}, {"y": None}, {"x": "!"}, {"kid": 7}], ids=str)
def test_F14_malformed_keys_are_skipped(change: dict[str, Any]) -> None:
    """One malformed key spoils nothing."""
    with spoiled_set(lambda bad: [{**bad, **change}]) as at:
        assert at.reported("key_skipped")


def test_F15_private_keys_published() -> None:
    """A published private key is refused with a security event; a secret among public keys spoils the set."""
    with spoiled_set(lambda _: [make_key("ES256", kid="bad").as_dict(private=True)]) as at:
        assert at.reported("private_key_published")[0].kid == "bad"
        at.issuer.published.append({"kty": "oct", "kid": "secret", "k": "A" * 43})
        old_set_serves(at, "document")


def test_F06_a_file_source_reads_no_url(tmp_path: Any) -> None:
    """A file is a file: a URL in its place is a path that is not there."""
    source = FileJWKS("https://issuer.example/jwks.json")
    assert source.state().keys is None
