"""What goes into a verifier and what comes out: buffers, batches, sizes, results, settings."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from typing import Any

import pytest
import tokens
from tokens import NOW_S, code_of

import rapidjws
from rapidjws import Rejected, VerifiedJWS, Verifier, _native
from rapidjws.jose.limits import TOKEN_CEILING_BYTES, TOKEN_MAX_BYTES, TOKEN_MAX_BYTES_MLDSA


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    """Return a verifier with one key of the common kinds."""
    return Verifier([tokens.public("ES256"), tokens.public("RS256")], algorithms=["ES256", "RS256"])


def test_every_kind_of_text(verifier: Verifier) -> None:
    """A token is text, bytes or any buffer, alone and in a batch."""
    token = tokens.token()
    octets = token.encode()
    kinds = [token, octets, bytearray(octets), memoryview(octets), memoryview(bytearray(octets))]
    kinds += [memoryview(b"".join(bytes([byte, 0]) for byte in octets))[::2]]
    for kind in kinds:
        assert code_of(verifier, kind) == "ok"
    results = verifier.verify_many(kinds)
    assert [one.payload for one in results if isinstance(one, VerifiedJWS)] == [results[0].payload] * len(
        kinds
    )


@pytest.mark.parametrize(
    "thing", [None, 1, 1.5, [], {}, object(), ("a", "b")], ids=lambda it: type(it).__name__
)
def test_what_is_no_text(verifier: Verifier, thing: Any) -> None:
    """What is neither text nor a buffer is refused, and spoils no batch."""
    with pytest.raises((TypeError, rapidjws.TokenRefused)):
        verifier.verify(thing)
    good = tokens.token()
    results = verifier.verify_many([good, thing, good])
    assert [type(one) for one in results] == [type(results[0]), Rejected, type(results[0])]
    assert isinstance(results[0], VerifiedJWS)


@pytest.mark.parametrize("text", ["é", "\ud800", "a.b.\N{SNOWMAN}", "\x00", "\x7f"])
def test_text_outside_of_ascii(verifier: Verifier, text: str) -> None:
    """Characters that no token has are refused wherever they stand."""
    token = tokens.token()
    for changed in (text, token + text, text + token, token.replace(".", text, 1)):
        assert code_of(verifier, changed) in ("malformed_token", "malformed_base64url")


def test_order_of_a_batch() -> None:
    """Results stand in the order of the tokens, good and bad ones mixed, over several threads and chunks."""
    verifier = Verifier(tokens.public("HS256"), algorithms=["HS256"], workers=4)
    good = [tokens.token("HS256", sub=str(number)) for number in range(16)]
    mixed = [good[number % 16] if number % 3 else f"bad{number}" for number in range(3000)]
    results = verifier.verify_many(mixed)
    assert len(results) == len(mixed)
    for number, one in enumerate(results):
        if number % 3:
            assert isinstance(one, VerifiedJWS)
            assert json.loads(one.payload)["sub"] == str(number % 16)
        else:
            assert isinstance(one, Rejected)


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 513])
def test_every_size_of_a_batch(verifier: Verifier, count: int) -> None:
    """A batch of any size gives one result a token."""
    results = verifier.verify_many([tokens.token()] * count)
    assert (len(results), all(isinstance(one, VerifiedJWS) for one in results)) == (count, True)


def test_a_batch_is_any_sequence(verifier: Verifier) -> None:
    """A tuple does as well as a list."""
    assert len(verifier.verify_many((tokens.token(), "x"))) == 2


def test_a_buffer_that_changes_meanwhile() -> None:
    """A buffer is copied first: whoever changes it during the call changes no verdict and no payload."""
    verifier = Verifier(tokens.public("HS256"), algorithms=["HS256"])
    good, other = (tokens.token("HS256", sub=name).encode() for name in ("user-1", "user-2"))
    buffer = bytearray(good)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            buffer[:] = other
            buffer[:] = good

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(300):
            for one in verifier.verify_many([buffer] * 16):
                if isinstance(one, VerifiedJWS):
                    assert json.loads(one.payload)["sub"] in ("user-1", "user-2")
    finally:
        stop.set()
        thread.join()
    verified = verifier.verify(buffer)
    buffer[:] = other
    assert json.loads(verified.payload)["sub"] == "user-1"


def test_a_verified_jws_cannot_be_made() -> None:
    """A VerifiedJWS stands for a verification: it is not constructed, copied, pickled or changed."""
    verified = Verifier(tokens.public("ES256"), algorithms=["ES256"]).verify(tokens.token())
    with pytest.raises(TypeError):
        VerifiedJWS()
    with pytest.raises(TypeError):
        VerifiedJWS("a.b.c")  # type: ignore[call-arg]
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(verified)
    with pytest.raises(AttributeError):
        verified.payload = b"other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        verified.extra = 1  # type: ignore[attr-defined]


def test_what_a_verified_jws_shows(verifier: Verifier) -> None:
    """It gives header, payload, alg, kid and thumbprint of what verified, and no claims nobody checked."""
    verified = verifier.verify(tokens.token())
    assert verified.header == {"alg": "ES256", "kid": "k1-es256"}
    assert json.loads(verified.payload) == tokens.claims()
    assert (verified.alg, verified.kid) == ("ES256", "k1-es256")
    assert verified.key_thumbprint == tokens.public("ES256").thumbprint()
    assert verified.issuer is None
    with pytest.raises(TypeError):
        _ = verified.claims
    assert repr(verified) == "VerifiedJWS(alg='ES256', kid='k1-es256', issuer=None)"


def test_an_empty_payload(verifier: Verifier) -> None:
    """A payload of no octets is a payload."""
    jwk = tokens.key("ES256")
    token = tokens.sign(jwk, {"alg": "ES256", "kid": jwk.kid}, b"")
    for one in (verifier.verify(token), *verifier.verify_many([token] * 2)):
        assert isinstance(one, VerifiedJWS)
        assert one.payload == b""


def test_a_refusal_carries_nothing(verifier: Verifier) -> None:
    """A Rejected has a code and a place, no payload, no claims and no truth value."""
    (refused,) = verifier.verify_many([tokens.token()[:-4] + "AAAA"])
    assert isinstance(refused, Rejected)
    assert not hasattr(refused, "payload")
    assert not hasattr(refused, "claims")
    with pytest.raises(TypeError):
        bool(refused)
    assert not isinstance(refused, VerifiedJWS)


def test_a_refusal_builds_its_error(verifier: Verifier) -> None:
    """Rejected.error() is the exception that verify raises, in class, code, place and words."""
    token = tokens.token()
    for bad in (token[:-4] + "AAAA", "x", token + ".", tokens.token(header={"kid": "other"}), "a" * 20_000):
        (refused,) = verifier.verify_many([bad])
        assert isinstance(refused, Rejected)
        with pytest.raises(rapidjws.TokenRefused) as raised:
            verifier.verify(bad)
        built = refused.error()
        assert (type(built), str(built)) == (type(raised.value), str(raised.value))
        assert (refused.code, refused.place) == (raised.value.code, raised.value.place)
        assert refused.info if hasattr(refused, "info") else refused.code in rapidjws.CODES
        assert built.__traceback__ is None


def test_sizes(verifier: Verifier) -> None:
    """The limit holds to the byte, for text, bytes and buffers; the default is the algorithms' own."""
    jwk = tokens.key("ES256")
    head = {"alg": "ES256", "kid": jwk.kid}
    empty = len(tokens.sign(jwk, head, b""))
    fitting, beyond = (
        tokens.sign(jwk, head, bytes((TOKEN_MAX_BYTES - empty) * 3 // 4 + more)) for more in (0, 1)
    )
    assert TOKEN_MAX_BYTES - 2 < len(fitting) <= TOKEN_MAX_BYTES < len(beyond)
    exact = Verifier(tokens.public("ES256"), algorithms=["ES256"], max_token_bytes=len(fitting))
    for make in (str, str.encode, lambda text: bytearray(text, "ascii")):
        assert code_of(verifier, make(fitting)) == "ok"
        assert code_of(verifier, make(beyond)) == "too_large"
        assert code_of(exact, make(fitting)) == "ok"
    assert code_of(Verifier(tokens.public("ES256"), algorithms=["ES256", "ML-DSA-44"]), beyond) == "ok"
    assert TOKEN_MAX_BYTES_MLDSA > TOKEN_MAX_BYTES
    small = Verifier(tokens.public("ES256"), algorithms=["ES256"], max_token_bytes=len(fitting) - 1)
    assert code_of(small, fitting) == "too_large"


def test_the_largest_limit() -> None:
    """A token at the largest limit that may be set is verified, claims and all."""
    jwk = tokens.key("HS256")
    engine = rapidjws.Engine(tokens.issuer("HS256"), max_token_bytes=TOKEN_CEILING_BYTES)
    size = (TOKEN_CEILING_BYTES - 600) * 3 // 4
    payload = json.dumps(tokens.claims(fill="x" * (size - 200))).encode()
    token = tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, payload)
    assert TOKEN_CEILING_BYTES - 2000 < len(token) <= TOKEN_CEILING_BYTES
    assert code_of(engine, token) == "ok"
    assert code_of(engine, token[:-4] + "AAAA") == "signature_invalid"


@pytest.mark.parametrize("value", [0, -1, TOKEN_CEILING_BYTES + 1, 1.5, "1", True, float("inf")], ids=repr)
def test_a_limit_out_of_range(value: Any) -> None:
    """A limit that is none is refused when configured."""
    for make in (
        lambda: Verifier(tokens.public("ES256"), algorithms=["ES256"], max_token_bytes=value),
        lambda: rapidjws.Engine(tokens.issuer(), max_token_bytes=value),
    ):
        with pytest.raises(rapidjws.ConfigurationError) as refused:
            make()
        assert refused.value.place == "max_token_bytes"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 0),
        ("workers", 257),
        ("workers", True),
        ("workers", "2"),
        ("acceleration", "fast"),
        ("precompute_budget_bytes", -1),
        ("precompute_budget_bytes", True),
        ("precompute_threshold", -1),
        ("precompute_threshold", 1.5),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    """A setting that is none is refused when configured, under its name."""
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        Verifier(tokens.public("ES256"), algorithms=["ES256"], **{name: value})
    assert refused.value.place == name


@pytest.mark.parametrize(
    "text", ["." * (1 << 20), "[" * (1 << 20), "A" * (1 << 20), "a.b." + "A" * (1 << 20)]
)
def test_a_mebibyte_of_anything(verifier: Verifier, text: str) -> None:
    """A mebibyte of dots, brackets or letters is refused by its size."""
    assert code_of(verifier, text) == "too_large"


@pytest.mark.parametrize("character", [".", "A", "[", "=", "\0"])
def test_the_whole_limit_of_anything(verifier: Verifier, character: str) -> None:
    """A token as large as the limit allows, of one character only, is refused as malformed."""
    code = code_of(verifier, character * TOKEN_MAX_BYTES)
    assert code in ("malformed_token", "malformed_base64url")


def test_the_error_queue_is_left_empty(verifier: Verifier) -> None:
    """After every kind of answer libcrypto's error queue of the thread is empty."""
    front = tokens.token().rpartition(".")[0]
    rsa_front = tokens.token("RS256").rpartition(".")[0]
    edwards = Verifier(tokens.public("Ed448"), algorithms=["Ed448"])
    texts = [tokens.token(), "x", *(f"{front}.{tokens.b64url(octets * 64)}" for octets in (b"\0", b"\xff"))]
    texts += [f"{rsa_front}.{tokens.b64url(octets * 256)}" for octets in (b"\0", b"\xff", b"\1")]
    for acceleration in ("auto", "openssl"):
        asked = Verifier(
            [tokens.public("ES256"), tokens.public("RS256")],
            algorithms=["ES256", "RS256"],
            acceleration=acceleration,
        )
        asked.precompute()
        for text in texts:
            code_of(asked, text)
            assert _native.error_queue_len() == 0
    for octets in (bytes(114), b"\xff" * 114):
        code_of(edwards, f"{tokens.token('Ed448').rpartition('.')[0]}.{tokens.b64url(octets)}")
        assert _native.error_queue_len() == 0


def test_mldsa_through_either_backend() -> None:
    """ML-DSA tokens verify, and changed ones do not, whichever library does the work."""
    alg = "ML-DSA-44"
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip("no backend has ML-DSA")
    jwk = tokens.key(alg)
    token = tokens.token(alg)
    for asked in (Verifier(jwk.public(), algorithms=[alg]), tokens.engine(alg)):
        assert code_of(asked, token) == "ok"
        front, _, text = token.rpartition(".")
        octets = bytearray(tokens.b64url_decode(text))
        octets[100] ^= 1
        assert code_of(asked, f"{front}.{tokens.b64url(bytes(octets))}") == "signature_invalid"
        assert code_of(asked, f"{front}.{tokens.b64url(bytes(octets[:-1]))}") == "signature_invalid"
    assert code_of(tokens.engine(alg), tokens.token(alg, exp=NOW_S - 3600)) == "expired"
    assert code_of(tokens.engine(alg), tokens.token(alg, iss="https://other.example")) == "issuer_mismatch"


def test_backends_and_algorithms() -> None:
    """Every algorithm has a backend; those before ML-DSA are libcrypto's; none is not among them."""
    found = rapidjws.backends()
    assert tuple(found.algorithms) == tuple(rapidjws.ALGORITHMS)
    assert found.libcrypto.startswith("OpenSSL 3")
    assert {found.algorithms[name] for name in tokens.SIGNABLE} == {"libcrypto"}
    assert set(found.algorithms.values()) <= {"libcrypto", "pyca", "none"}
    expected = (
        "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 ES256K EdDSA Ed25519 Ed448"
    )
    assert set(rapidjws.ALGORITHMS) == {*expected.split(), "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}


@pytest.mark.parametrize("alg", tokens.SIGNABLE)
def test_the_primitive(alg: str) -> None:
    """verify_raw returns nothing for a good signature and raises for a changed message."""
    front, _, text = tokens.token(alg).rpartition(".")
    signature = tokens.b64url_decode(text)
    assert rapidjws.verify_raw(alg, tokens.public(alg), front.encode(), signature) is None
    with pytest.raises(rapidjws.SignatureInvalid) as refused:
        rapidjws.verify_raw(alg, tokens.public(alg), front.encode() + b"x", signature)
    assert refused.value.code == "signature_invalid"


def test_the_primitive_knows_its_algorithms() -> None:
    """verify_raw has no algorithm none, nor any other unknown one."""
    for alg in ("none", "", "es256", "HS1"):
        with pytest.raises(rapidjws.HeaderRefused) as refused:
            rapidjws.verify_raw(alg, tokens.public("ES256"), b"", b"")
        assert refused.value.code == "unsupported_algorithm"
