"""``rapidjws.compat.pyjwt``: PyJWT's names and errors, and nothing that PyJWT refuses is accepted."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import rapidjws
import rapidjws.compat.pyjwt as jwt
from rapidjws.compat.pyjwt import engine_keys
from rapidjws.compat.pyjwt.key_cache import KeyCache

SECRET = "0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    """Return the public half as PEM text."""
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return str(public.decode())


def private_pem(private: Any) -> str:
    """Return the private key as PEM text."""
    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


KEYS: dict[str, tuple[Any, list[Any]]] = {
    "HS256": (SECRET, [SECRET, SECRET.encode()]),
    "RS256": (RSA, [pem(RSA), pem(RSA).encode(), RSA.public_key(), RSA]),
    "PS384": (RSA, [pem(RSA), RSA.public_key()]),
    "ES256": (EC, [pem(EC), EC.public_key(), EC, private_pem(EC)]),
    "EdDSA": (ED, [pem(ED), ED.public_key(), ED]),
}
CASES = [
    pytest.param(alg, key, id=f"{alg}-{number}")
    for alg, (_, keys) in KEYS.items()
    for number, key in enumerate(keys)
]


@pytest.fixture(autouse=True)
def forget() -> None:
    """Begin with empty caches."""
    engine_keys.forget_keys()


def test_every_public_name_of_pyjwt_is_here() -> None:
    """What PyJWT exports is exported, and its errors have the same parents."""
    assert set(pyjwt.__all__) <= set(jwt.__all__)
    for name in dir(pyjwt.exceptions):
        theirs, ours = getattr(pyjwt.exceptions, name), getattr(jwt.exceptions, name, None)
        if isinstance(theirs, type) and issubclass(theirs, Exception):
            assert ours is not None, name
            assert [one.__name__ for one in ours.__mro__] == [one.__name__ for one in theirs.__mro__]


@pytest.mark.parametrize(("alg", "key"), CASES)
def test_tokens_of_either_verify_by_the_other(alg: str, key: Any) -> None:
    """A token signed by PyJWT verifies here, twice, and one signed here verifies there."""
    private = KEYS[alg][0]
    claims = {"sub": "ann", "n": 2**70, "exp": int(time.time()) + 60}
    token = pyjwt.encode(claims, private, algorithm=alg)
    for _ in range(2):
        assert jwt.decode(token, key, algorithms=[alg]) == claims
    assert jwt.decode(token.encode(), key, algorithms=(alg,)) == claims
    complete = jwt.decode_complete(token, key, algorithms=[alg])
    assert complete == pyjwt.decode_complete(token, _verifying(key), algorithms=[alg])
    assert (
        pyjwt.decode(jwt.encode(claims, private, algorithm=alg), _verifying(key), algorithms=[alg]) == claims
    )
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB"), key, algorithms=[alg])
    other = "EdDSA" if alg != "EdDSA" else "HS256"
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, key, algorithms=[other])


def _verifying(key: Any) -> Any:
    """Return a key for PyJWT, which verifies RS by no private key."""
    return key.public_key() if isinstance(key, rsa.RSAPrivateKey) else key


def test_claims_are_a_dict_of_the_caller() -> None:
    """Who changes what was returned changes nothing of the next call."""
    token = jwt.encode({"roles": ["a"]}, EC, algorithm="ES256")
    jwt.decode(token, EC, algorithms=["ES256"])["roles"].append("admin")
    assert jwt.decode(token, EC, algorithms=["ES256"]) == {"roles": ["a"]}
    complete = jwt.decode_complete(token, EC, algorithms=["ES256"])
    complete["header"]["alg"] = "none"
    assert jwt.decode_complete(token, EC, algorithms=["ES256"])["header"]["alg"] == "ES256"


@pytest.mark.parametrize("algorithms", [["HS256", "RS256"], ["RS256", "HS256"], ["HS256"], "HS256"])
@pytest.mark.parametrize("spelled", ["pem", "bytes", "hex", "der", "jwk", "ssh"])
def test_a_public_key_is_no_secret(algorithms: Any, spelled: str) -> None:
    """A token with a MAC under the public key is refused, however the key is spelled (RFC 8725 s.2.1)."""
    import hashlib
    import hmac
    import json

    public = RSA.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key: Any = {
        "pem": pem(RSA),
        "bytes": pem(RSA).encode(),
        "hex": der.hex(),
        "der": der,
        "jwk": jwt.algorithms.RSAAlgorithm.to_jwk(public),
        "ssh": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    }[spelled]
    octets = key.encode() if isinstance(key, str) else key
    encode = jwt.utils.base64url_encode
    text = encode(json.dumps({"alg": "HS256"}).encode()) + b"." + encode(b'{"admin":true}')
    forged = text + b"." + encode(hmac.new(octets, text, hashlib.sha256).digest())
    for _ in range(2):
        with pytest.raises(jwt.InvalidKeyError):
            jwt.decode(forged, key, algorithms=algorithms)


def test_text_is_one_algorithm() -> None:
    """``algorithms="ES256K"`` allows ES256K, and not ES256, which is a part of that text."""
    token = jwt.encode({}, EC, algorithm="ES256")
    assert jwt.decode(token, EC, algorithms="ES256") == {}  # type: ignore[arg-type]
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, EC, algorithms="ES256K")  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithms", [None, [], (), ""])
def test_algorithms_are_required(algorithms: Any) -> None:
    """Without algorithms nothing is accepted, whatever was accepted before by the same key."""
    token = jwt.encode({}, SECRET)
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == {}
    with pytest.raises(jwt.DecodeError, match="algorithms"):
        jwt.decode(token, SECRET, algorithms=algorithms)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("key", [None, "", SECRET, b""])
def test_none_is_not_accepted(alg: str, key: Any) -> None:
    """An unsigned token is refused, also where ``none`` is allowed (RFC 8725 s.3.2)."""
    encode = jwt.utils.base64url_encode
    token = (encode(f'{{"alg":"{alg}"}}'.encode()) + b"." + encode(b"{}") + b".").decode()
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token, key, algorithms=[alg, "HS256"])
    assert jwt.decode(token, options={"verify_signature": False}) == {}


@pytest.mark.parametrize("algorithm", [None, "none"])
def test_no_unsigned_token_is_made(algorithm: Any) -> None:
    """Nothing here makes an unsigned token."""
    with pytest.raises(NotImplementedError):
        jwt.encode({}, None, algorithm=algorithm)
    with pytest.raises(NotImplementedError):
        jwt.algorithms.NoneAlgorithm().sign(b"", None)


def test_the_cache_keeps_keys_apart() -> None:
    """Text and bytes, other algorithms in another order, and other objects have entries of their own."""
    token = jwt.encode({}, SECRET)
    other = "x" * 32
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == {}
    for key in (other, other.encode(), EC, pem(EC)):
        with pytest.raises((jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError)):
            jwt.decode(token, key, algorithms=["HS256"])
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, SECRET, algorithms=["HS384"])
    assert jwt.decode(token, SECRET, algorithms=["HS384", "HS256"]) == {}
    others: Any
    for others in ({"HS256"}, iter(["HS256"]), {"HS256": 1}, frozenset({"HS256", "ES256"})):
        assert jwt.decode(token, SECRET, algorithms=others) == {}


def test_the_cache_is_bounded_and_asks_whose_entry_it_is() -> None:
    """At most two generations are kept, and an entry is given for its own object only."""
    cache: KeyCache[int] = KeyCache(4)
    one, two = object(), object()
    cache.put(id(one), one, 1)
    assert cache.get(id(one), one) == 1
    assert cache.get(id(one), two) is None
    for number in range(50):
        cache.put(number, "text", number)
    assert len(cache) <= 8
    assert cache.get(49, "text") == 49


def test_a_key_object_that_goes_leaves_no_entry_for_the_next() -> None:
    """Keys made and dropped in turn, whose ``id`` may be the same, verify their own tokens only."""
    for _ in range(40):
        key = ed25519.Ed25519PrivateKey.generate()
        token = jwt.encode({}, key, algorithm="EdDSA")
        assert jwt.decode(token, key.public_key(), algorithms=["EdDSA"]) == {}
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(token, ed25519.Ed25519PrivateKey.generate().public_key(), algorithms=["EdDSA"])


def test_a_pyjwk_verifies_by_its_own_algorithm() -> None:
    """A PyJWK whose key is replaced verifies by the new key, and by no algorithm but its own."""
    token = jwt.encode({}, EC, algorithm="ES256")
    key = jwt.PyJWK(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key(), as_dict=True))  # type: ignore[arg-type]
    for algorithms in (None, ["ES256"], ["ES256", "RS256"]):
        assert jwt.decode(token, key, algorithms=algorithms) == {}
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, key, algorithms=["RS256"])
    key.key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, key)
    key.key, key.algorithm_name = EC.public_key(), "ES384"
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, key)


def test_registered_algorithms_take_the_place_of_those_built_in() -> None:
    """An algorithm that an application registers is the one that verifies, also under a name built in."""

    class Refusing(jwt.algorithms.HMACAlgorithm):
        """HMAC that accepts nothing."""

        def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
            """Accept nothing."""
            return False

    token = jwt.encode({}, SECRET)
    mine = jwt.PyJWT()
    assert mine.decode(token, SECRET, algorithms=["HS256"]) == {}
    mine._jws.unregister_algorithm("HS256")
    with pytest.raises(jwt.InvalidAlgorithmError):
        mine.decode(token, SECRET, algorithms=["HS256"])
    mine._jws.register_algorithm("HS256", Refusing(Refusing.SHA256))
    with pytest.raises(jwt.InvalidSignatureError):
        mine.decode(token, SECRET, algorithms=["HS256"])
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == {}


def test_a_truthy_answer_is_no_good_signature() -> None:
    """A registered algorithm that answers something other than True accepts nothing."""

    class Sloppy(jwt.algorithms.HMACAlgorithm):
        """HMAC that answers with text."""

        def verify(self, msg: bytes, key: Any, sig: bytes) -> Any:
            """Answer with words."""
            return "no"

    jws = jwt.PyJWS()
    jws.register_algorithm("X1", Sloppy(Sloppy.SHA256))
    with pytest.raises(jwt.InvalidSignatureError):
        jws.decode(jws.encode(b"", SECRET, "X1"), SECRET, algorithms=["X1"])


@pytest.mark.parametrize("value", [None, 0, 1, "", "False", "false", [], "no"])
@pytest.mark.parametrize(
    "name", ["verify_signature", "verify_exp", "verify_aud", "enforce_minimum_key_length"]
)
def test_switches_are_true_or_false(name: str, value: Any) -> None:
    """An option that is neither True nor False is an error, and switches nothing off."""
    token = jwt.encode({"exp": 1}, SECRET)
    options: Any = {name: value}
    with pytest.raises(TypeError, match=name):
        jwt.decode(token, "x" * 32, algorithms=["HS256"], options=options)
    with pytest.raises(TypeError, match=name):
        jwt.PyJWT(options)


def test_a_leeway_is_finite() -> None:
    """A leeway of infinity or NaN is an error: every date would pass."""
    token = jwt.encode({"exp": 1}, SECRET)
    for leeway in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="leeway"):
            jwt.decode(token, SECRET, algorithms=["HS256"], leeway=leeway)
    assert jwt.decode(token, SECRET, algorithms=["HS256"], leeway=1e12) == {"exp": 1}
    assert jwt.decode(token, SECRET, algorithms=["HS256"], leeway=timedelta(days=40_000)) == {"exp": 1}


def test_remembered_tokens_expire() -> None:
    """A token that verified before is refused once its time is over, and under other rules."""
    token = jwt.encode({"exp": int(time.time()) + 60, "aud": "a"}, EC, algorithm="ES256")
    for _ in range(3):
        jwt.decode(token, EC, algorithms=["ES256"], audience="a")
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(token, EC, algorithms=["ES256"], audience="a", leeway=-120)
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, EC, algorithms=["ES256"], audience="b")
    with pytest.raises(jwt.MissingRequiredClaimError):
        jwt.decode(token, EC, algorithms=["ES256"], audience="a", options={"require": ["sub"]})
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, other, algorithms=["ES256"], audience="a")


def test_dates_may_be_datetimes() -> None:
    """Datetimes become NumericDates, and the caller's dict stays as it was."""
    at = datetime.now(tz=timezone.utc)
    claims = {"exp": at + timedelta(hours=1), "nbf": at, "iat": at}
    decoded = jwt.decode(jwt.encode(claims, SECRET), SECRET, algorithms=["HS256"])
    assert decoded["iat"] == int(at.timestamp())
    assert claims["iat"] is at


def test_threads_share_the_caches() -> None:
    """Threads with many keys at once get their own verdicts."""
    keys = [f"{number:032d}" for number in range(200)]
    tokens = [jwt.encode({"n": number}, key) for number, key in enumerate(keys)]
    wrong: list[object] = []

    def work(offset: int) -> None:
        for step in range(400):
            number = (step * 7 + offset) % 200
            if jwt.decode(tokens[number], keys[number], algorithms=["HS256"]) != {"n": number}:
                wrong.append(number)
            try:
                jwt.decode(tokens[number], keys[number - 1], algorithms=["HS256"])
                wrong.append(("accepted", number))
            except jwt.InvalidSignatureError:
                pass

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(engine_keys._engines) <= 2 * engine_keys.MAX_ENGINES


def test_an_error_of_the_engine_has_its_code() -> None:
    """Where the engine found the fault, its own error is the cause."""
    encode = jwt.utils.base64url_encode
    token = encode(b'{"alg":"HS256","alg":"HS256"}') + b"." + encode(b"{}") + b"." + encode(b"x")
    with pytest.raises(jwt.DecodeError) as refused:
        jwt.decode(token, SECRET, algorithms=["HS256"])
    assert isinstance(refused.value.__cause__, rapidjws.RapidJWSError)
    assert refused.value.__cause__.code == "duplicate_member"


@pytest.mark.source_tree
def test_no_module_imports_pyjwt() -> None:
    """PyJWT is no dependency: no module of the package imports it."""
    import ast
    from pathlib import Path

    found = set()
    for path in (Path(__file__).resolve().parents[2] / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    assert "rapidjws" in found
    assert found & {"jwt", "jose", "authlib"} == set()
