"""Keys as callers hand them to Verifier and Issuer: what is unambiguous is read, the rest is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rapidjws import JWK, ConfigurationError, Engine, Issuer, JWKSet, RapidJWSError, Verifier
from rapidjws.keys import RemoteJWKS
from rapidjws.signing import JWTBuilder, LocalSigner, sign_compact
from rapidjws.testing import make_key
from rapidjws.verify.protocols import KeyState

A, B = "https://a.example", "https://b.example"
NAMED = make_key("ES256", kid="k")
OTHER = make_key("ES256", kid="other")
BARE = JWK.from_json({**NAMED.as_dict(private=True), "kid": "x"}, private=True)
BARE = JWK.from_json(
    {name: value for name, value in BARE.as_dict(private=True).items() if name != "kid"}, private=True
)
RSA = make_key("RS256")


def pem_of(key: JWK) -> bytes:
    """Write an EC key's public half as PEM."""
    raw = b"\x04" + key.material[0]
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    return bytes(point.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def token(key: JWK, kid: str | None, *, iss: str = A) -> str:
    """Sign a fresh JWT with a key, naming any kid."""
    signer = LocalSigner(key)
    signer.kid = kid
    return JWTBuilder(signer, iss=iss).sign({"sub": "u"})


def code_of(call: Callable[[], object]) -> str:
    """Return the code of a refusal, or ok."""
    try:
        call()
    except RapidJWSError as error:
        return error.code
    return "ok"


def refused(call: Callable[..., object], *arguments: Any, **options: Any) -> ConfigurationError:
    """Return the configuration error of a call."""
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments, **options)
    assert caught.value.code == "configuration_invalid"
    return caught.value


class Changing:
    """A key source by its shape alone."""

    def __init__(self, keys: JWKSet | None) -> None:
        self.keys = keys

    def state(self) -> KeyState:
        """Return what there is."""
        return KeyState(keys=self.keys)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Listen to nothing."""

    def unknown_kid(self, kid: str) -> None:
        """Refresh nothing."""

    def next_answer(self) -> Any:
        """Return nothing to wait for."""


# --- C5 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jwk", "dict", "json", "pem", "list"])
def test_C5_a_key_given_by_itself_serves_any_kid(form: str, tmp_path: Path) -> None:
    """A PEM and a token of an identity provider: the one key that the caller gave answers for any kid."""
    public = BARE.public()
    keys = {
        "jwk": public, "dict": public.as_dict(), "json": json.dumps(public.as_dict()), "pem": pem_of(BARE),
        "list": [public],
    }[form]  # fmt: skip
    verifier = Verifier(keys, algorithms=["ES256"])
    engine = Engine(Issuer(A, keys=keys, algorithms=["ES256"]))
    for kid in ("k", "anything", None):
        for one in (verifier, engine):
            assert b'"sub":"u"' in one.verify(token(BARE, kid)).payload
            assert code_of(lambda one=one, kid=kid: one.verify(token(OTHER, kid))) == "signature_invalid"
    required = Verifier(keys, algorithms=["ES256"], require_kid=True)
    assert code_of(lambda: required.verify(token(BARE, None))) == "missing_kid"
    assert code_of(lambda: required.verify(token(BARE, "k"))) == "ok"


def test_C5_a_set_keeps_the_strict_rule() -> None:
    """A document's key without kid does not answer for a kid that the document does not have."""
    document = {"keys": [BARE.public().as_dict()]}
    for keys in (JWKSet.from_json(document), JWKSet([BARE.public()]), document, json.dumps(document)):
        verifier = Verifier(keys, algorithms=["ES256"])
        assert code_of(lambda verifier=verifier: verifier.verify(token(BARE, "k"))) == "unknown_kid"
        assert code_of(lambda verifier=verifier: verifier.verify(token(BARE, None))) == "ok"
    engine = Engine(Issuer(A, keys=Changing(JWKSet.from_json(document)), algorithms=["ES256"]))
    assert code_of(lambda: engine.verify(token(BARE, "k"))) == "unknown_kid"


def test_C5_a_kid_that_is_named_means_its_key() -> None:
    """A key with a kid answers for that kid alone, and of two keys without one none is tried."""
    verifier = Verifier([BARE.public(), OTHER.public()], algorithms=["ES256"])
    assert code_of(lambda: verifier.verify(token(OTHER, "other"))) == "ok"
    assert code_of(lambda: verifier.verify(token(BARE, "other"))) == "signature_invalid"
    assert code_of(lambda: verifier.verify(token(BARE, "k"))) == "ok"
    assert code_of(lambda: verifier.verify(token(OTHER, "k"))) == "signature_invalid"
    second = JWK.from_pem(pem_of(make_key("ES256")))
    two = Verifier([BARE.public(), second], algorithms=["ES256"])
    assert code_of(lambda: two.verify(token(BARE, "k"))) == "ambiguous_key"
    mixed = Verifier([BARE.public(), RSA.public()], algorithms=["ES256", "RS256"])
    assert code_of(lambda: mixed.verify(token(BARE, "k"))) == "ok"
    assert code_of(lambda: mixed.verify(token(RSA, "k"))) == "ok"


def test_C5_a_key_stays_its_issuers() -> None:
    """Two issuers whose keys have no kid: iss decides, and one's key never verifies the other's token."""
    other = JWK.from_json(
        {name: value for name, value in OTHER.as_dict(private=True).items() if name != "kid"}, private=True
    )
    engine = Engine(
        Issuer(A, keys=BARE.public(), algorithms=["ES256"]),
        Issuer(B, keys=other.public(), algorithms=["ES256"]),
    )
    for _ in range(3):  # the second time the header is known
        for kid in ("k", None):
            assert engine.verify(token(BARE, kid, iss=A)).issuer == A
            assert engine.verify(token(other, kid, iss=B)).issuer == B
            assert code_of(lambda kid=kid: engine.verify(token(BARE, kid, iss=B))) == "signature_invalid"
            assert code_of(lambda kid=kid: engine.verify(token(other, kid, iss=A))) == "signature_invalid"
    named = Engine(
        Issuer(A, keys=NAMED.public(), algorithms=["ES256"]),
        Issuer(B, keys=other.public(), algorithms=["ES256"]),
    )
    assert named.verify(token(NAMED, "k", iss=A)).issuer == A
    assert named.verify(token(other, "k", iss=B)).issuer == B
    assert code_of(lambda: named.verify(token(NAMED, "k", iss=B))) == "signature_invalid"
    assert code_of(lambda: named.verify(token(NAMED, "j", iss=A))) == "unknown_kid"


def test_C5_revocation_by_kid_holds_for_any_kid() -> None:
    """A kid that is revoked by name is refused though the key that would answer has none."""
    engine = Engine(Issuer(A, keys=BARE.public(), algorithms=["ES256"]))
    assert code_of(lambda: engine.verify(token(BARE, "stolen"))) == "ok"
    engine.revoke(kid="stolen")
    assert code_of(lambda: engine.verify(token(BARE, "stolen"))) == "revoked"
    assert code_of(lambda: engine.verify(token(BARE, "good"))) == "ok"
    engine.revoke(issuer=A)
    assert code_of(lambda: engine.verify(token(BARE, "good"))) == "revoked"


# --- C4 --------------------------------------------------------------------------------------------------


def test_C4_no_usable_key_is_an_error_at_construction() -> None:
    """Static keys of which none serves the algorithms build nothing; each is named with its reason."""
    weak = {**NAMED.public().as_dict(), "kid": "odd", "x": "AA"}
    keys = JWKSet.from_json({"keys": [weak, RSA.public().as_dict() | {"kid": "r"}]})
    for make in (
        lambda: Verifier(keys, algorithms=["ES256"]),
        lambda: Engine(Issuer(A, keys=keys, algorithms=["ES256"])),
        lambda: Verifier({A: keys}, algorithms=["ES256"]),
        lambda: Engine(Issuer(A, keys=NAMED.public(), algorithms=["ES256"])).replace_issuers(
            Issuer(A, keys=keys, algorithms=["ES256"])
        ),
    ):
        error = refused(make)
        assert "keys" in str(error.place)
        assert error.expected == "a key for ES256"
        assert error.actual == ("kid 'r': serves RS256", "kid 'odd': key_malformed at keys[0].x")
    for empty in ([], JWKSet(), {"keys": []}):
        assert refused(Verifier, empty, algorithms=["ES256"]).actual == ("no key",)
    assert "https://b.example" in str(
        refused(Verifier, {A: NAMED.public(), B: RSA.public()}, algorithms=["ES256"]).place
    )


def test_C4_replacing_keys_by_unusable_ones_keeps_the_old() -> None:
    """A replacement that serves nothing is refused; an empty one takes all keys away, knowingly."""
    engine = Engine(Issuer(A, keys=NAMED.public(), algorithms=["ES256"]))
    refused(engine.replace_keys, A, RSA.public())
    assert code_of(lambda: engine.verify(token(NAMED, "k"))) == "ok"
    engine.replace_keys(A, [])
    assert code_of(lambda: engine.verify(token(NAMED, "k"))) == "unknown_kid"


def test_C4_a_source_without_usable_keys_is_not_ready() -> None:
    """An engine whose source brought nothing usable is built, is not ready, and says why."""
    for keys, why in ((None, "keys_unavailable"), (JWKSet([RSA.public()]), "kid None: serves RS256")):
        engine = Engine(Issuer(A, keys=Changing(keys), algorithms=["ES256"]))
        assert not engine.ready
        assert engine.not_ready == {A: why}
    optional = Engine(Issuer(A, keys=Changing(None), algorithms=["ES256"], required=False))
    assert optional.ready
    good = Engine(Issuer(A, keys=Changing(JWKSet([NAMED.public()])), algorithms=["ES256"]))
    assert (good.ready, good.not_ready) == (True, {})


# --- N11 -------------------------------------------------------------------------------------------------


def test_N11_what_is_unambiguous_is_read(tmp_path: Path) -> None:
    """A set, a JWK, several, their dicts, their JSON, PEM text and a path all make the same verifier."""
    public = NAMED.public()
    document = {"keys": [public.as_dict()]}
    file, pem = tmp_path / "jwks.json", tmp_path / "key.pem"
    file.write_text(json.dumps(document))
    pem.write_bytes(pem_of(NAMED))
    for keys in (
        public, [public], (public,), {public}, JWKSet([public]), document,
        json.dumps(document), public.as_dict(),
        json.dumps(document).encode(), json.dumps(public.as_dict()), [public.as_dict()], pem_of(NAMED),
        pem_of(NAMED).decode(), [pem_of(NAMED)], file, pem, iter([public]),
    ):  # fmt: skip
        assert (
            Verifier(keys, algorithms=["ES256"]).verify(sign_compact(b"x", LocalSigner(NAMED))).payload
            == b"x"
        )
    engine = Engine(Issuer(A, keys=file, algorithms=["ES256"]))
    assert engine.verify(token(NAMED, "k")).issuer == A
    named = Verifier({A: document, B: pem_of(OTHER)}, algorithms=["ES256"])
    assert code_of(lambda: named.verify(token(NAMED, "k"))) == "ok"


@pytest.mark.parametrize(
    ("keys", "call"),
    [
        ("https://issuer.example/jwks.json", "RemoteJWKS(url)"),
        ("jwks.json", "Path(name)"),
        ("/etc/keys/jwks.json", "Path(name)"),
        ("hunter2", "PEM block"),
        (None, "JWKSet"),
        (5, "JWKSet"),
        (JWKSet, "JWKSet"),
        ([JWKSet([NAMED.public()])], "one JWK each"),
        ([None], "JWKSet"),
        (Path("nowhere.json"), "a file"),
        (Path("/"), "a file"),
    ],
    ids=repr,
)
def test_N11_anything_else_names_the_call_to_make(keys: Any, call: str) -> None:
    """A value that holds no keys as it stands is refused with what to write instead."""
    for make in (Verifier, lambda keys, algorithms: Engine(Issuer(A, keys=keys, algorithms=algorithms))):
        error = refused(make, keys, algorithms=["ES256"])
        assert call in str(error)
        assert str(error.place).startswith("keys")
    source = RemoteJWKS("https://issuer.example/jwks.json")
    assert "Issuer(keys=source)" in str(refused(Verifier, source, algorithms=["ES256"]))


def test_N11_a_file_is_bounded_and_regular(tmp_path: Path) -> None:
    """A pipe never makes a constructor wait, and an empty file is named."""
    import os

    pipe, empty = tmp_path / "pipe", tmp_path / "empty"
    os.mkfifo(pipe)
    empty.write_text("")
    assert "not a regular file" in str(refused(Verifier, pipe, algorithms=["ES256"]))
    assert "empty" in str(refused(Verifier, empty, algorithms=["ES256"]))


# --- B10, 22 ---------------------------------------------------------------------------------------------


def test_B10_22_a_key_of_the_set_for_another_alg_is_a_mismatch() -> None:
    """RFC 7517 s.4.4: the kid is in the set, so the code does not depend on what else is allowed."""
    ed = make_key("EdDSA", kid="e")
    keys = JWKSet([ed.public(), NAMED.public(), RSA.public()])
    free = JWK.from_json(
        {name: value for name, value in ed.as_dict(private=True).items() if name != "alg"}, private=True
    )
    signed = sign_compact(b"x", LocalSigner(free, "Ed25519"))
    for algorithms in (["Ed25519", "ES256"], ["Ed25519", "EdDSA"]):
        verifier = Verifier(keys, algorithms=algorithms)
        assert code_of(lambda verifier=verifier: verifier.verify(signed)) == "key_alg_mismatch"
        assert code_of(lambda verifier=verifier: verifier.verify(token(OTHER, "other"))) in (
            "unknown_kid", "algorithm_not_allowed",
        )  # fmt: skip
    two = Engine(
        Issuer(A, keys=keys, algorithms=["ES256"]), Issuer(B, keys=OTHER.public(), algorithms=["ES256"])
    )
    assert code_of(lambda: two.verify(token(OTHER, "e"))) == "key_alg_mismatch"
