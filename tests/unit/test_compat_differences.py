"""Each line of the table of differences from PyJWT: what PyJWT takes, and what is raised here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import rapidjws.compat.pyjwt as jwt

SECRET = "0123456789abcdef0123456789abcdef"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "migration" / "pyjwt-compat.md"


def token_of(header: str | dict[str, Any], payload: str | bytes = "{}", secret: str = SECRET) -> str:
    """Return a token with a good MAC over header and payload as they are given."""
    first = header if isinstance(header, str) else json.dumps({"alg": "HS256", **header})
    octets = payload if isinstance(payload, bytes) else payload.encode()
    encode = jwt.utils.base64url_encode
    text = encode(first.encode()) + b"." + encode(octets)
    return (text + b"." + encode(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


REFUSED = [
    pytest.param(token_of('{"alg":"HS256","alg":"HS256"}'), jwt.DecodeError, id="duplicate-in-header"),
    pytest.param(token_of({}, '{"a":1,"a":2}'), jwt.DecodeError, id="duplicate-in-claims"),
    pytest.param(token_of({}, '{"a":NaN}'), jwt.DecodeError, id="nan"),
    pytest.param(token_of({}, '{"a":-Infinity}'), jwt.DecodeError, id="infinity"),
    pytest.param(token_of({}, '{"a":"\\ud800"}'), jwt.DecodeError, id="lone-surrogate"),
    pytest.param(token_of({}, '{"a":1}'.encode("utf-16")), jwt.DecodeError, id="utf-16"),
    pytest.param(token_of({}, json.dumps({"a": "x" * 262144})), jwt.DecodeError, id="token-too-large"),
    pytest.param(token_of({"x": "x" * 16384}), jwt.DecodeError, id="header-too-large"),
    pytest.param(token_of({}, '{"a":' + "[" * 33 + "]" * 33 + "}"), jwt.DecodeError, id="too-deep"),
    pytest.param(token_of({str(n): 1 for n in range(70)}), jwt.DecodeError, id="members-of-header"),
    pytest.param(
        token_of({}, json.dumps(dict.fromkeys(map(str, range(1100))))), jwt.DecodeError, id="members"
    ),
    pytest.param(token_of({"typ": 5}), jwt.InvalidTokenError, id="typ"),
    pytest.param(token_of({"cty": []}), jwt.InvalidTokenError, id="cty"),
    pytest.param(token_of({"kid": "k" * 513}), jwt.InvalidTokenError, id="kid"),
    pytest.param(token_of({"crit": ["b64", "b64"], "b64": True}), jwt.InvalidTokenError, id="crit-twice"),
    pytest.param(token_of({"b64": "false"}), jwt.InvalidTokenError, id="b64"),
]


@pytest.mark.parametrize(("token", "error"), REFUSED)
def test_a_token_that_pyjwt_takes_is_refused(token: str, error: type[Exception]) -> None:
    """PyJWT accepts the token; here it is refused, by ``decode`` and by ``decode_complete``."""
    assert isinstance(pyjwt.decode(token, SECRET, algorithms=["HS256"]), dict)
    for function in (jwt.decode, jwt.decode_complete, jwt.PyJWT().decode):
        with pytest.raises(error) as refused:
            function(token, SECRET, algorithms=["HS256"])
        assert SECRET not in str(refused.value)


def test_crit_names_no_registered_member() -> None:
    """A ``crit`` that names ``alg`` is refused, as PyJWT does for another reason (RFC 7515 s.4.1.11)."""
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token_of({"crit": ["alg"]}), SECRET, algorithms=["HS256"])


def test_none_is_no_algorithm() -> None:
    """``none`` is not listed, makes no token, and is refused by name where it is allowed."""
    assert "none" in pyjwt.PyJWS().get_algorithms()
    assert "none" not in jwt.PyJWS().get_algorithms()
    unsigned = pyjwt.encode({}, None, algorithm="none")
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(unsigned, None, algorithms=["none"])
    with pytest.raises(NotImplementedError):
        jwt.encode({}, None, algorithm="none")


@pytest.mark.parametrize("spell", [bytes.hex, lambda octets: base64.b64encode(octets).decode()])
def test_key_text_is_no_secret_in_hex_or_base64(spell: Any) -> None:
    """A public key in hex or base64 signs and verifies nothing by HMAC."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = jwt.algorithms.ECAlgorithm.to_jwk(public)
    secret = spell(str(pem).encode())
    token = pyjwt.encode({}, secret, algorithm="HS256")
    assert pyjwt.decode(token, secret, algorithms=["HS256"]) == {}
    with pytest.raises(jwt.InvalidKeyError):
        jwt.decode(token, secret, algorithms=["HS256"])
    with pytest.raises(jwt.InvalidKeyError):
        jwt.encode({}, secret)


def test_unsound_keys_are_refused() -> None:
    """An RSA modulus with a small factor and an Ed25519 point of small order verify nothing."""
    encode = jwt.utils.base64url_encode
    n = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n * 3
    weak = rsa.RSAPublicNumbers(65537, n).public_key()
    token = pyjwt.encode({}, rsa.generate_private_key(65537, 2048), algorithm="RS256")
    with pytest.raises(jwt.InvalidKeyError):
        jwt.decode(token, weak, algorithms=["RS256"])
    text = encode(b'{"alg":"EdDSA"}') + b"." + encode(b"{}")
    point = ed25519.Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))
    forged = text + b"." + encode(b"\x01" + bytes(63))
    with pytest.raises(jwt.InvalidKeyError):
        jwt.decode(forged, point, algorithms=["EdDSA"])


def test_an_answer_of_a_jwks_address_is_bounded() -> None:
    """An answer above 256 KiB is refused before it is parsed."""
    client = jwt.PyJWKClient("https://bank.example/jwks.json")
    opener = mock.Mock()
    opener.open.return_value = mock.MagicMock()
    opener.open.return_value.__enter__.return_value = io.BytesIO(b" " * 262145)
    with (
        mock.patch("urllib.request.build_opener", return_value=opener),
        pytest.raises(jwt.PyJWKClientError, match="bytes"),
    ):
        client.get_signing_keys()


@pytest.mark.parametrize(
    "members", [{"kty": "x"}, {"kty": "oct", "alg": "x"}, {"kty": "OKP", "crv": "x"}, {"kty": "RSA"}, {}]
)
def test_no_message_holds_a_key(members: dict[str, Any]) -> None:
    """The errors of ``PyJWK`` show nothing of the key."""
    with pytest.raises(jwt.PyJWTError) as refused:
        jwt.PyJWK({**members, "k": "c2VjcmV0LXNlY3JldA", "d": "c2VjcmV0LXNlY3JldA"})
    assert "c2VjcmV0" not in str(refused.value)


def test_a_private_rsa_key_verifies() -> None:
    """A private RSA key verifies by its public half, where PyJWT fails."""
    private = rsa.generate_private_key(65537, 2048)
    token = jwt.encode({}, private, algorithm="RS256")
    assert jwt.decode(token, private, algorithms=["RS256"]) == {}
    assert jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).verify(b"", private, b"") is False


def test_whole_padding_is_read_as_pyjwt_does() -> None:
    """Padding that some issuers write is let through where it is whole; what was signed is as it came."""
    encode = base64.urlsafe_b64encode
    text = encode(b'{"alg":"HS256"}') + b"." + encode(b'{"a":1}')
    token = text + b"." + encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest())
    assert token.count(b"=") >= 3
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == {"a": 1}
    for wrong in (token + b"=", token[:-1], text.replace(b"=", b"") + token[len(text) :]):
        if wrong != token[:-1] or token.endswith(b"="):
            try:
                assert pyjwt.decode(wrong, SECRET, algorithms=["HS256"]) == {"a": 1}
            except pyjwt.DecodeError:
                with pytest.raises(jwt.DecodeError):
                    jwt.decode(wrong, SECRET, algorithms=["HS256"])
            else:
                assert jwt.decode(wrong, SECRET, algorithms=["HS256"]) == {"a": 1}


@pytest.mark.source_tree
def test_each_test_that_differs_stands_on_the_page() -> None:
    """The page names every test of PyJWT's suite that the tool lets differ, and its line of the table."""
    import importlib.util

    path = PAGE.parents[2] / "tools" / "pyjwt_suite.py"
    spec = importlib.util.spec_from_file_location("pyjwt_suite", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = PAGE.read_text("utf-8")
    for name, line in tool.DIFFERENCES.items():
        row = next(row for row in page.splitlines() if row.startswith(f"| `{name}` |"))
        assert line in row
        assert f"| {line}" in page or f"| `{line}`" in page
