"""PyJWT beside ``rapidjws.compat.pyjwt``: the same claims or the same error, but where the table says."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import rapidjws.compat.pyjwt as jwt

ROUNDS = 400
SECRET, SHORT = "s" * 64, "secret"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    """Return the public half as PEM text."""
    return str(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


SIGNERS: dict[str, tuple[Any, ...]] = {
    "HS256": (SECRET, SHORT),
    "HS384": (SECRET,),
    "HS512": (SECRET,),
    "RS256": (RSA,),
    "PS256": (RSA,),
    "ES256": (EC,),
    "ES384": (P384,),
    "EdDSA": (ED,),
}
INCOMPLETE_PEM = "-----BEGIN PUBLIC KEY-----\nx"
KEYS: tuple[Any, ...] = (
    SECRET, SHORT, SECRET.encode(), pem(RSA), RSA.public_key(), pem(EC), EC.public_key(), EC, pem(P384),
    P384.public_key(), pem(ED), ED.public_key(), "", None, 5, b"\xff" * 40, INCOMPLETE_PEM, {},
)  # fmt: skip
ALGORITHMS: tuple[Any, ...] = (
    ["HS256"], ["RS256"], ["ES256"], ["EdDSA"], ["HS256", "RS256"], ["RS256", "HS256"], ["ES256", "ES384"],
    ("PS256", "RS256"), {"ES256", "HS256"}, list(SIGNERS), [], None, ["FOO"], ["ES521", "ES256"],
    [None, "HS256"],
)  # fmt: skip


class Case(NamedTuple):
    """One token, one call, and the rows of the table that may part the two."""

    token: Any
    key: Any
    algorithms: Any
    more: dict[str, Any]
    rows: tuple[str, ...]


def dates(rng: random.Random, now: int) -> Any:
    """Return a date of any kind."""
    choices = (
        now - 100,
        now + 100,
        now + 100,
        now + 0.5,
        str(now + 50),
        str(now - 50),
        "x",
        None,
        True,
        [now],
        -1,
    )
    return rng.choice(choices)  # type: ignore[arg-type]


def payload_of(rng: random.Random, now: int) -> tuple[bytes, list[str]]:
    """Return a payload, and the rows that it is about."""
    claims: dict[str, Any] = {"n": rng.choice((0, 2**70, -1.5, 1e300, "ü", None, {"a": [1]}))}
    for name in ("exp", "nbf", "iat"):
        if rng.random() < 0.35:
            claims[name] = dates(rng, now)
    for name, values in (
        ("aud", ("a", "b", ["a", "c"], [], "", None, 1, ["a", 1], {"a": 1})),
        ("iss", ("i", "j", 5, None, ["i"])),
        ("sub", ("s", "t", 5, None)),
        ("jti", ("x", 7, None)),
    ):
        if rng.random() < 0.4:
            claims[name] = rng.choice(values)  # type: ignore[arg-type]
    text, rows = json.dumps(claims), []
    kind = rng.random()
    if kind < 0.03:
        text, rows = text[:-1] + ',"n":1}', ["duplicate"]
    elif kind < 0.06:
        text, rows = text[:-1] + ',"c":NaN}', ["constant"]
    elif kind < 0.08:
        text, rows = text[:-1] + ',"c":"\\ud800"}', ["surrogate"]
    elif kind < 0.10:
        text, rows = text[:-1] + ',"c":' + "[" * 40 + "]" * 40 + "}", ["deep"]
    elif kind < 0.14:
        text = rng.choice(("[]", "1", '"x"', "", "{", "null", text + " ", " " + text, text + "x"))
    return text.encode(), rows


def header_of(rng: random.Random, alg: str) -> tuple[bytes, list[str]]:
    """Return a header, and the rows that it is about."""
    header: dict[str, Any] = {"alg": alg, "typ": "JWT"}
    kind = rng.random()
    more: tuple[dict[str, Any], list[str]] = rng.choice(
        (
            ({"kid": "k"}, []), ({"kid": 5}, []), ({"kid": "k" * 600}, ["long kid"]), ({"typ": 5}, ["typ"]),
            ({"crit": []}, []), ({"crit": ["x"]}, []), ({"crit": ["b64"]}, []), ({"crit": "b64"}, []),
            ({"crit": ["b64"], "b64": True}, []), ({"b64": "no"}, ["b64 word"]), ({"b64": False}, []),
            ({"crit": ["b64", "b64"], "b64": True}, ["crit twice"]), ({"alg": 5}, []), ({"alg": ""}, []),
            ({"alg": None}, []), ({"jwk": {}, "x5c": [1], "jku": "x"}, []), ({"crit": [1]}, []),
        )
    )  # fmt: skip
    if kind < 0.25:
        header |= more[0]
    text = json.dumps(header)
    if 0.25 <= kind < 0.28:
        return (text[:-1] + ',"alg":"HS256"}').encode(), ["duplicate"]
    if 0.28 <= kind < 0.31:
        return rng.choice((b"[]", b"1", b"", b"{", b"\xff", text.encode() + b" ")), []
    return text.encode(), more[1] if kind < 0.25 else []


def case_of(rng: random.Random, now: int) -> Case:
    """Return one random case."""
    alg = rng.choice(list(SIGNERS))
    private = rng.choice(SIGNERS[alg])
    is_plain = rng.random() < 0.2
    payload, rows = (json.dumps({"n": 1, "exp": now + 99}).encode(), []) if is_plain else payload_of(rng, now)
    header, more_rows = (json.dumps({"alg": alg}).encode(), []) if is_plain else header_of(rng, alg)
    encode, algorithm = pyjwt.utils.base64url_encode, pyjwt.get_algorithm_by_name(alg)
    text = encode(header) + b"." + encode(payload)
    token: Any = text + b"." + encode(algorithm.sign(text, algorithm.prepare_key(private)))
    kind = rng.random()
    if kind < 0.2 and not is_plain:
        at = rng.randrange(len(token))
        token = token[:at] + rng.choice((b"", b"=", b".", b"A", b" ", b"\n", b"%", b"-")) + token[at + 1 :]
    elif kind < 0.25 and not is_plain:
        token = rng.choice(
            (b"", b"..", b"a.b", token + b"=", token + b"==", b"x." + token, token[:-2], 5, None)
        )
    if isinstance(token, bytes) and rng.random() < 0.5:
        token = token.decode("latin-1")
    right = private if isinstance(private, str) else rng.choice((private.public_key(), pem(private)))
    key = right if is_plain or rng.random() < 0.7 else rng.choice(KEYS)
    key_rows = ["key text"] if key is INCOMPLETE_PEM else []
    allowed = [alg] if is_plain or rng.random() < 0.6 else rng.choice(ALGORITHMS)
    more = {} if is_plain else arguments(rng)
    return Case(token, key, allowed, more, (*rows, *more_rows, *key_rows))


def arguments(rng: random.Random) -> dict[str, Any]:
    """Return further arguments of the call."""
    more: dict[str, Any] = {}
    for name, values in (
        ("audience", ("a", ["a", "z"], ("q",), {"a"}, 5, "")),
        ("issuer", ("i", ["i", "k"], {"i"}, 5, "ij")),
        ("subject", ("s", "u")),
        ("leeway", (0, 5, 200, 1.5, -200)),
        ("detached_payload", (b"x",)),
    ):
        if rng.random() < (0.05 if name == "detached_payload" else 0.25):
            more[name] = rng.choice(values)  # type: ignore[arg-type]
    if rng.random() < 0.4:
        switches = ("verify_signature", "verify_exp", "verify_aud", "verify_iss", "strict_aud", "verify_sub",
                    "verify_iat", "verify_nbf", "verify_jti", "enforce_minimum_key_length")  # fmt: skip
        more["options"] = {name: rng.random() < 0.5 for name in rng.sample(switches, 3)}
        if rng.random() < 0.3:
            more["options"]["require"] = rng.sample(("exp", "sub", "n"), 2)
    return more


def outcome_of(decode: Callable[..., Any], case: Case) -> tuple[str, Any]:
    """Return ``("claims", what was returned)``, or ``("error", the name of its class)``."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            found = decode(case.token, case.key, algorithms=case.algorithms, **case.more)
        except Exception as fault:
            return "error", type(fault).__name__
    return "claims", (found, [one.category.__name__ for one in seen])


def judged(case: Case) -> str | None:
    """Return what is wrong with the two outcomes, or None."""
    theirs, ours = outcome_of(pyjwt.decode_complete, case), outcome_of(jwt.decode_complete, case)
    short = outcome_of(jwt.decode, case)
    if (short[0], ours[0]) == ("claims", "claims"):
        assert short[1][0] == ours[1][0]["payload"]
    elif short != ours:
        return f"decode: {short}, decode_complete: {ours}"
    if ours == theirs or (ours[0] == "error" and case.rows):
        return None
    return f"PyJWT: {theirs}, here: {ours}"


@pytest.mark.parametrize("seed", range(4))
def test_the_two_agree(seed: int) -> None:
    """Random tokens, keys and arguments: what differs is refused here, and is about a row of the table."""
    rng, now = random.Random(seed), int(time.time())
    wrong = [
        (why, case)
        for case in (case_of(rng, now) for _ in range(ROUNDS))
        if judged(case) and (why := judged(case))  # a date may pass between two calls, but once
    ]
    assert wrong == [], wrong[:3]


def test_the_cases_reach_both_verdicts() -> None:
    """The random cases are accepted and refused in many ways, or they would show nothing."""
    rng, now = random.Random(1), int(time.time())
    found: dict[str, int] = {}
    for case in (case_of(rng, now) for _ in range(ROUNDS)):
        kind, value = outcome_of(jwt.decode_complete, case)
        name = value if kind == "error" else kind
        found[name] = found.get(name, 0) + 1
    assert found["claims"] >= 20
    assert len(found) >= 12, found
