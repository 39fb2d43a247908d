"""Detached content, unencoded payloads, critical extensions (RFC 7515 appendix F and s.4.1.11, RFC 7797)."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import forms
import pytest
import tokens

import rapidjws
from rapidjws.jose.limits import WHOLE_PAYLOAD_MAX_BYTES
from rapidjws.jws import streaming
from rapidjws.signing import LocalSigner, sign_compact

ODD = bytes(range(256)) * 3 + b"."
ALGS = ("HS256", "HS384", "HS512", "RS256", "RS512", "PS384", "ES256", "ES384", "ES512", "ES256K", "EdDSA")


def compact(alg: str = "ES256", payload: bytes = ODD, *, b64: bool = True) -> str:
    """Return a compact token with its payload taken out."""
    return sign_compact(payload, LocalSigner(tokens.key(alg), alg), detached=True, b64=b64)


def unencoded(payload: bytes | str, *, shown: bytes | str | None = None) -> Any:
    """Return a compact token (bytes) or, for text, a flattened one, with an unencoded payload in it."""
    octets = payload.encode() if isinstance(payload, str) else payload
    one = forms.signed(payload=octets, b64=False, protected=B64_HEADER)
    if isinstance(payload, str):
        return {"payload": payload if shown is None else shown, **one}
    return b".".join((one["protected"].encode(), payload, one["signature"].encode()))


B64_HEADER = {"alg": "ES256", "kid": "k1-es256", "b64": False, "crit": ["b64"]}


@pytest.mark.parametrize("b64", [True, False])
@pytest.mark.parametrize("alg", ALGS)
def test_every_source_gives_the_same_verdict(alg: str, b64: bool, tmp_path: Path) -> None:
    """Bytes, path, file, reader, chunks and asynchronous chunks verify, and do not once a byte differs."""
    verifier = forms.verifier(alg, crit=["b64"])
    payload = ODD * 300
    token = compact(alg, payload, b64=b64)
    assert verifier.verify(token, payload=payload).payload == payload
    for octets, due in (
        (payload, "ok"),
        (payload[:-1] + b"!", "signature_invalid"),
        (b"", "signature_invalid"),
    ):
        path = tmp_path / "payload"
        path.write_bytes(octets)
        assert detached_outcome(verifier, token, octets) == due
        assert detached_outcome(verifier, token, path) == due
        assert detached_outcome(verifier, token, str(path)) == due
        with path.open("rb") as file:
            assert detached_outcome(verifier, token, file) == due
        assert detached_outcome(verifier, token, _Reader(octets)) == due
        assert detached_outcome(verifier, token, [octets[i : i + 7] for i in range(0, len(octets), 7)]) == due


class _Reader:
    """A reader in odd pieces, without readinto."""

    def __init__(self, octets: bytes) -> None:
        self._file = io.BytesIO(octets)

    def read(self, size: int) -> bytes:
        """Return less than was asked for."""
        return self._file.read(min(size, 1001))


class _TextReader:
    """A reader of text."""

    def read(self, size: int) -> str:
        """Return text, which is no payload."""
        return "x" * size


class _AsyncReader(_Reader):
    """A reader as a coroutine."""

    async def read(self, size: int) -> bytes:  # type: ignore[override]
        """Return less than was asked for."""
        return super().read(size)


async def _chunks(octets: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), 100_000):
        yield octets[start : start + 100_000]


def detached_outcome(verifier: rapidjws.Verifier, token: Any, source: Any, **options: Any) -> str:
    """Return "ok" or the code."""
    try:
        verified = verifier.verify_detached(token, source, **options)
    except rapidjws.TokenRefused as refused:
        return refused.code
    with pytest.raises(TypeError, match="streamed"):
        _ = verified.payload
    return "ok"


@pytest.mark.parametrize("make", [_chunks, _AsyncReader, io.BytesIO, bytes, lambda octets: [octets]])
@pytest.mark.parametrize("b64", [True, False])
def test_asynchronous_sources(make: Any, b64: bool) -> None:
    """averify_detached takes what verify_detached takes, and asynchronous sources."""
    verifier = forms.verifier(crit=["b64"])
    payload = ODD * 400
    token = compact(payload=payload, b64=b64)
    assert asyncio.run(verifier.averify_detached(token, make(payload))).alg == "ES256"
    with pytest.raises(rapidjws.SignatureInvalid):
        asyncio.run(verifier.averify_detached(token, make(payload + b".")))


def test_general_form_streams_for_all_signers() -> None:
    """One reading serves all signatures, whatever their algorithms, and policies hold as ever."""
    verifier = forms.verifier(*ALGS[3:])
    payload = ODD * 99
    token = {"signatures": [forms.signed(alg, payload=payload) for alg in ALGS[3:]]}
    assert detached_outcome(verifier, token, iter([payload[:5000], payload[5000:]])) == "ok"
    assert forms.outcome(verifier, token, payload=payload) == "ok"
    token["signatures"][3] = forms.spoiled(token["signatures"][3])
    assert detached_outcome(verifier, token, payload) == "signatures_insufficient"
    assert detached_outcome(verifier, token, payload, signatures=rapidjws.any_of()) == "ok"
    results = verifier.verify_detached(token, payload, signatures=rapidjws.any_of()).signatures
    assert [one.index for one in results if one.verdict == "refused"] == [3]


@pytest.mark.parametrize("alg", ["EdDSA", "ML-DSA-44"])
def test_whole_payload_algorithms_have_a_limit(alg: str) -> None:
    """EdDSA and ML-DSA need the payload whole: past the limit they say so; in memory there is none."""
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    verifier = forms.verifier(alg)
    payload = b"x" * 100_001
    token = compact(alg, payload)
    assert detached_outcome(verifier, token, payload) == "ok"
    assert len(payload) <= WHOLE_PAYLOAD_MAX_BYTES
    with pytest.raises(rapidjws.MalformedToken) as refused:
        verifier.verify_detached(token, payload, max_whole_bytes=100_000)
    assert (refused.value.code, refused.value.place) == ("too_large", "payload")
    assert f"{alg} signs the whole payload" in str(refused.value.expected)
    assert verifier.verify(token, payload=payload).payload == payload


def test_too_large_for_one_signer_only() -> None:
    """Where another signature suffices, a payload too large for EdDSA is no reason to refuse the token."""
    verifier = forms.verifier("ES256", "EdDSA")
    payload = b"x" * 5000
    token = {"signatures": [forms.signed("EdDSA", payload=payload), forms.signed(payload=payload)]}
    pieces = [payload[:2000], payload[2000:]]
    policy = rapidjws.any_of()
    verified = verifier.verify_detached(token, pieces, signatures=policy, max_whole_bytes=4000)
    assert [one.code for one in verified.signatures] == ["too_large", None]
    assert detached_outcome(verifier, token, pieces, max_whole_bytes=4000) == "signatures_insufficient"


def test_hopeless_tokens_are_refused_before_reading() -> None:
    """Nothing is read for a token that no payload can make good; what was not looked at is undecided."""

    def never() -> Any:
        raise AssertionError("read")
        yield b""

    verifier = forms.verifier()
    stranger = forms.signed(name="k2")
    assert detached_outcome(verifier, {**stranger}, never()) == "unknown_kid"
    with pytest.raises(rapidjws.SignaturesRefused) as refused:
        verifier.verify_detached({"signatures": [stranger, forms.signed()]}, never())
    assert [one.verdict for one in refused.value.signatures] == ["refused", "undecided"]
    assert detached_outcome(verifier, "not a token", never()) == "malformed_token"


def test_two_payloads_are_refused() -> None:
    """A token that brings its payload takes no other beside it, whatever it is."""
    verifier = forms.verifier()
    for token in (
        tokens.token(),
        forms.flattened(),
        forms.general(forms.signed()),
    ):
        assert detached_outcome(verifier, token, forms.PAYLOAD) == "malformed_token"
        assert forms.outcome(verifier, token, payload=forms.PAYLOAD) == "malformed_token"


def test_an_empty_payload_member_is_none() -> None:
    """Some write a detached payload as an empty string: taken as such only beside a payload."""
    verifier = forms.verifier()
    token = {**forms.flattened(), "payload": ""}
    assert forms.outcome(verifier, token, payload=forms.PAYLOAD) == "ok"
    assert detached_outcome(verifier, token, forms.PAYLOAD) == "ok"
    assert forms.outcome(verifier, token) == "signature_invalid"


def test_a_detached_token_without_its_payload_is_refused() -> None:
    """A token without payload is not verified as if it were empty, unless the empty one was signed."""
    verifier = forms.verifier()
    assert forms.outcome(verifier, compact()) == "signature_invalid"
    assert forms.outcome(verifier, forms.signed()) == "malformed_token"
    assert forms.outcome(verifier, compact(payload=b"")) == "ok"
    assert verifier.verify(compact(payload=b""), payload=b"").payload == b""


@pytest.mark.parametrize("source", [7, None, "text", ["text"], [7], _TextReader()])
def test_what_is_no_payload(source: Any) -> None:
    """Text, numbers and text files are no payload: TypeError, or no such file; never a verdict."""
    verifier = forms.verifier()
    with pytest.raises((TypeError, FileNotFoundError)):
        verifier.verify_detached(compact(), source)
    with pytest.raises((TypeError, FileNotFoundError)):
        asyncio.run(verifier.averify_detached(compact(), source))
    if not isinstance(source, bytes) and source is not None:
        with pytest.raises(TypeError):
            verifier.verify(compact(), payload=source)


def test_a_file_without_data_now_is_not_at_its_end() -> None:
    """None from a non-blocking file is an error, not the end of the payload."""

    class _Empty:
        def readinto(self, buffer: Any) -> None:
            return None

    with pytest.raises(BlockingIOError):
        forms.verifier().verify_detached(compact(payload=b""), _Empty())


def test_large_payloads_in_memory_are_kept() -> None:
    """A large payload given to verify is hashed where it lies, and given back once it verified."""
    payload = b"y" * (streaming.PIECE_BYTES + 17)
    token = compact(payload=payload)
    assert forms.verifier().verify(token, payload=bytearray(payload)).payload == payload
    assert forms.outcome(forms.verifier(), token, payload=payload + b"y") == "signature_invalid"


# --- b64 and crit --------------------------------------------------------------------------------


def test_b64_has_to_be_understood() -> None:
    """An unencoded payload is verified only for a caller that lists b64 in crit, compact or JSON."""
    plain, knowing = forms.verifier(), forms.verifier(crit=["b64"])
    for token in (unencoded(b"$02"), unencoded("$.02"), unencoded(b"YWJj"), unencoded("YWJj")):
        assert forms.outcome(plain, token) in ("crit_unsupported", "malformed_base64url")
        assert forms.outcome(knowing, token) == "ok"
    assert knowing.verify(unencoded(b"YWJj")).payload == b"YWJj"
    assert knowing.verify(unencoded("\u20ac\x00\n.\u00e9")).payload == "\u20ac\x00\n.\u00e9".encode()
    assert forms.outcome(plain, compact(b64=False), payload=ODD) == "crit_unsupported"


@pytest.mark.parametrize("payload", [b"a.b", b"a\nb", b"\x7f", b"\xc3\xa9", b"a\x00"])
def test_compact_unencoded_payloads_are_printable_ascii(payload: bytes) -> None:
    """A period, a control character or more than ASCII cannot stand unencoded in a compact token."""
    knowing = forms.verifier(crit=["b64"])
    assert forms.outcome(knowing, unencoded(payload)) in ("malformed_token", "malformed_base64url")
    detached = forms.signed(payload=payload, b64=False, protected=B64_HEADER)
    assert knowing.verify(detached, payload=payload).payload == payload
    assert detached_outcome(knowing, detached, payload) == "ok"


def test_an_unencoded_payload_is_never_decoded() -> None:
    """b64 false takes the payload's characters as they stand; b64 true never does."""
    knowing = forms.verifier(crit=["b64"])
    text = tokens.b64url(b"inner")
    assert knowing.verify(unencoded(text)).payload == text.encode()
    swapped = {**unencoded(text), "protected": forms.signed()["protected"]}
    assert forms.outcome(knowing, swapped) == "signature_invalid"


def test_b64_stands_in_crit_and_is_the_same_for_all() -> None:
    """b64 outside of crit, of another type, or different among signatures is refused."""
    knowing = forms.verifier(crit=["b64"])
    for header, due in (
        ({"alg": "ES256", "b64": False}, "b64_unsupported"),
        ({"alg": "ES256", "b64": False, "crit": ["x"], "x": 1}, "crit_unsupported"),
        ({"alg": "ES256", "b64": 0, "crit": ["b64"]}, "malformed_header"),
        ({"alg": "ES256", "b64": "false", "crit": ["b64"]}, "malformed_header"),
    ):
        one = forms.signed(payload=b"x", b64=False, protected=header)
        assert forms.outcome(knowing, {"payload": "x", **one}) == due
    same = forms.signed(payload=b"YWJj", b64=False, protected=B64_HEADER)
    other = forms.signed(payload=b"abc")
    mixed = {"payload": "YWJj", "signatures": [same, other]}
    for _ in range(2):
        assert forms.outcome(knowing, mixed, signatures=rapidjws.any_of()) == "b64_unsupported"
        assert forms.outcome(knowing, {"payload": "YWJj", **same}) == "ok"
        assert forms.outcome(knowing, {"payload": "YWJj", **other}) == "ok"
    explicit = forms.signed(payload=b"abc", protected={**B64_HEADER, "b64": True})
    assert forms.outcome(knowing, {"payload": "YWJj", **explicit}) == "ok"


CRIT: dict[str, tuple[Any, dict[str, Any]]] = {
    "crit_unsupported": (["https://b"], {"https://b": 1}),
    "empty": ([], {}),
    "no array": ("https://a", {"https://a": 1}),
    "no string": ([1], {}),
    "twice": (["https://a", "https://a"], {"https://a": 1}),
    "missing": (["https://a"], {}),
    "registered": (["alg"], {}),
}


@pytest.mark.parametrize("name", list(CRIT))
def test_crit_rules_hold_in_every_form(name: str) -> None:
    """Unknown, empty, doubled, non-string, missing and registered entries are refused, listed ones not."""
    verifier = forms.verifier(crit=["https://a"])
    names, more = CRIT[name]
    header = {"alg": "ES256", "kid": "k1-es256", "crit": names, **more}
    due = name if name == "crit_unsupported" else "crit_malformed"
    assert forms.outcome(verifier, tokens.sign(tokens.key("ES256"), header, b"x")) == due
    assert forms.outcome(verifier, forms.flattened(protected=header)) == due
    one = forms.signed(protected=header)
    assert detached_outcome(verifier, one, forms.PAYLOAD) == due
    good = {"alg": "ES256", "kid": "k1-es256", "crit": ["https://a"], "https://a": 1}
    assert forms.outcome(verifier, tokens.sign(tokens.key("ES256"), good, b"x")) == "ok"
    assert forms.outcome(verifier, forms.flattened(protected=good)) == "ok"
    assert forms.outcome(forms.verifier(), forms.flattened(protected=good)) == "crit_unsupported"


def test_an_issuer_lists_its_own_extensions() -> None:
    """Engine heeds crit per issuer: what one issuer's tokens may demand, another's may not."""
    one = tokens.issuer("ES256", crit=["https://a"])
    other = tokens.issuer("RS256", iss="https://other.example")
    engine = rapidjws.Engine(one, other)
    more = {"crit": ["https://a"], "https://a": 1}
    assert tokens.code_of(engine, tokens.token("ES256", header=more)) == "ok"
    foreign = tokens.token("RS256", header=more, iss="https://other.example")
    assert tokens.code_of(engine, foreign) == "crit_unsupported"
    assert (
        json.loads(engine.verify(tokens.token("ES256", header=more), tokens.NOW_S).payload)["iss"]
        == tokens.ISS
    )
