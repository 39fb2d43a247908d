"""What an Issuer, an Engine and a Verifier take as settings: types and meaning, checked at construction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from rapidjws import (
    JWK,
    NOT_CHECKED,
    ConfigurationError,
    Engine,
    Issuer,
    RapidJWSError,
    Rejected,
    Replay,
    VerifiedJWS,
    Verifier,
)
from rapidjws.jose.limits import HEADER_CEILING_BYTES, HEADER_MAX_BYTES
from rapidjws.signing import JWTBuilder, LocalSigner, sign_compact, sign_flattened
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

ISS = "https://issuer.example"
KEY = make_key("ES256", kid="k")
SECRET = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"


def issuer(**settings: Any) -> Issuer:
    """Make an issuer with further settings."""
    return Issuer(**{"iss": ISS, "keys": KEY.public(), "algorithms": ["ES256"]} | settings)


def code_of(call: Callable[[], object]) -> str:
    """Return the code of a refusal, or ok."""
    try:
        call()
    except RapidJWSError as error:
        return error.code
    return "ok"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("required_claims", {"repository": "org/repo"}),
        ("required_claims", b"sub"),
        ("required_claims", [1]),
        ("typ", ["JWT", 5]),
        ("typ", []),
        ("typ", 5),
        ("typ", ""),
        ("require_kid", "false"),
        ("require_kid", 0),
        ("exp_required", None),
        ("required", "yes"),
        ("iss", ""),
        ("iss", b"x"),
        ("iss", "\ud800"),
        ("leeway_s", 1.5),
        ("leeway_s", -1),
        ("leeway_s", True),
        ("max_age_s", "60"),
        ("replay", object()),
        ("audience", None),
        ("audience", {"api": 1}),
        ("audience", [""]),
        ("algorithms", None),
        ("algorithms", {"ES256": 1}),
        ("algorithms", "ES256"),
        ("crit", "b64x"),
        ("crit", None),
        ("crit", {"x": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_B5_every_setting_of_an_issuer_is_checked(place: str, value: Any) -> None:
    """A setting of the wrong type or meaning is refused at construction, with its place and what to pass."""
    with pytest.raises(ConfigurationError) as caught:
        issuer(**{place: value})
    assert (caught.value.code, caught.value.place) == ("configuration_invalid", place)
    assert caught.value.expected


def test_B5_claim_values_are_said_not_to_be_compared() -> None:
    """Names alone are taken; a mapping with values would drop them in silence."""
    with pytest.raises(ConfigurationError, match="a list of names"):
        issuer(required_claims={"repository": "org/repo"})
    assert issuer(required_claims="sub").required_claims == ("sub",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("require_kid", "false"),
        ("allow_unprotected_alg", 1),
        ("max_signatures", "3"),
        ("max_signatures", True),
        ("max_token_bytes", "1"),
        ("max_header_bytes", None),
        ("workers", "2"),
        ("acceleration", None),
        ("precompute_threshold", -1),
        ("precompute_budget_bytes", 1.5),
    ],
)
def test_B5_every_setting_of_a_verifier_is_checked(name: str, value: Any) -> None:
    """Nothing truthy is True, and nothing that looks like a number is one."""
    with pytest.raises(ConfigurationError) as caught:
        Verifier(KEY.public(), algorithms=["ES256"], **{name: value})
    assert caught.value.place == name


@pytest.mark.parametrize(
    "name", ["cache", "micro_batch_us", "revocations", "skew_every", "events", "workers", "max_header_bytes"]
)
def test_B5_every_setting_of_an_engine_is_checked(name: str) -> None:
    """An object of no use is refused, whatever the setting."""
    with pytest.raises(ConfigurationError) as caught:
        Engine(issuer(), **{name: "x"})
    assert caught.value.place == name
    with pytest.raises(ConfigurationError):
        Engine("https://issuer.example")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        Engine([issuer()])  # type: ignore[arg-type]


# --- N12 -------------------------------------------------------------------------------------------------


def tutorial_token(**claims: Any) -> str:
    """Write a token as the FastAPI tutorial does: HS256, no iss, no aud."""
    signer = LocalSigner(JWK.from_secret(SECRET, alg="HS256"))
    octets = json.dumps({"sub": "johndoe", "exp": int(time.time()) + 600} | claims).encode()
    return sign_compact(octets, signer, header={"typ": "JWT"})


def test_N12_tokens_without_iss_are_a_written_choice() -> None:
    """`iss=None` does not compare iss: absent or any; every other rule holds."""
    engine = Engine(Issuer(None, keys=JWK.from_secret(SECRET), algorithms=["HS256"]))
    verified = engine.verify(tutorial_token())
    assert (verified.claims["sub"], verified.issuer) == ("johndoe", "")
    assert code_of(lambda: engine.verify(tutorial_token(iss="https://any.example"))) == "ok"
    assert code_of(lambda: engine.verify(tutorial_token(iss=5))) == "malformed_claim"
    assert code_of(lambda: engine.verify(tutorial_token(exp=1))) == "expired"
    assert code_of(lambda: engine.verify(tutorial_token(aud="other"))) == "audience_mismatch"
    assert code_of(lambda: engine.verify(tutorial_token() + "A")) != "ok"
    good, bad = engine.verify_many([tutorial_token(), tutorial_token(exp=1)])
    assert isinstance(good, VerifiedJWS)
    assert isinstance(bad, Rejected)
    other = JWK.from_secret("x" * 40)
    strict = Engine(Issuer(ISS, keys=JWK.from_secret(SECRET), algorithms=["HS256"]))
    assert code_of(lambda: strict.verify(tutorial_token())) == "missing_claim"
    forger = Engine(Issuer(None, keys=other, algorithms=["HS256"]))
    assert code_of(lambda: forger.verify(tutorial_token())) == "signature_invalid"


def test_N12_revocation_and_replay_hold_without_iss() -> None:
    """An issuer whose iss is not compared is an issuer all the same: each further check holds."""
    replay = Replay(store=MemoryReplayStore())
    engine = Engine(Issuer(None, keys=JWK.from_secret(SECRET), algorithms=["HS256"], replay=replay))
    token = tutorial_token(jti="1")
    assert code_of(lambda: engine.verify(token)) == "ok"
    assert code_of(lambda: engine.verify(token)) == "replayed"
    assert engine.decide(tutorial_token(jti="2")).outcome == "permit"
    engine.revoke(jti="3")
    assert code_of(lambda: engine.verify(tutorial_token(jti="3"))) == "revoked"
    engine.replace_keys("", JWK.from_secret("y" * 40))
    assert code_of(lambda: engine.verify(tutorial_token(jti="4"))) == "signature_invalid"


def test_N12_an_issuer_without_iss_stands_alone() -> None:
    """With several issuers only iss says whose token it is, so None is refused there."""
    bare = Issuer(None, keys=KEY.public(), algorithms=["ES256"])
    for pair in ((bare, issuer()), (issuer(), bare), (bare, bare)):
        with pytest.raises(ConfigurationError) as caught:
            Engine(*pair)
        assert caught.value.place == "issuers"


@pytest.mark.parametrize("aud", [None, "other", ["a", "b"], [], "\u00e9\\"])
def test_N12_an_unchecked_audience_is_a_written_choice(aud: Any) -> None:
    """`audience=NOT_CHECKED` lets aud name anybody or be absent; empty still refuses every aud."""
    signer = LocalSigner(KEY)
    token = JWTBuilder(signer, iss=ISS).sign({"aud": aud})
    assert code_of(lambda: Engine(issuer(audience=NOT_CHECKED)).verify(token)) == "ok"
    assert code_of(lambda: Engine(issuer()).verify(token)) == ("ok" if aud is None else "audience_mismatch")
    wrong = JWTBuilder(signer, iss=ISS).sign({"aud": [5]})
    assert code_of(lambda: Engine(issuer(audience=NOT_CHECKED)).verify(wrong)) == "malformed_claim"
    fraction = JWTBuilder(signer, iss=ISS).sign(
        {"aud": aud, "iat": time.time() - 1.5}
    )  # for the full checker
    assert code_of(lambda: Engine(issuer(audience=NOT_CHECKED)).verify(fraction)) == "ok"
    assert repr(NOT_CHECKED) == "NOT_CHECKED"


# --- B4 --------------------------------------------------------------------------------------------------


def chain_token(size: int) -> str:
    """Sign a token whose protected header has exactly this many octets."""
    signer = LocalSigner(KEY)
    bare = len(json.dumps({"alg": "ES256", "kid": "k", "x5c": [""]}, separators=(",", ":")))
    claims = {"iss": ISS, "exp": int(time.time()) + 600}
    return sign_compact(json.dumps(claims).encode(), signer, header={"x5c": ["M" * (size - bare)]})


@pytest.mark.parametrize("size", [HEADER_MAX_BYTES, 5000, HEADER_CEILING_BYTES])
def test_B4_the_header_limit_is_a_setting(size: int) -> None:
    """A header of exactly the limit passes, one octet more does not, and the message names the setting."""
    engine = Engine(issuer(), max_header_bytes=size)
    verifier = Verifier(KEY.public(), algorithms=["ES256"], max_header_bytes=size)
    for _ in range(2):  # the second time the header is known
        assert engine.verify(chain_token(size)).issuer == ISS
        assert verifier.verify(chain_token(size)).header["alg"] == "ES256"
    for one in (engine, verifier):
        with pytest.raises(RapidJWSError, match="max_header_bytes") as caught:
            one.verify(chain_token(size + 1))
        assert caught.value.code == "too_large"
    bare = len(json.dumps({"alg": "ES256", "kid": "k", "x5c": [""]}, separators=(",", ":")))
    for more, code in ((0, "ok"), (1, "too_large")):
        flattened = sign_flattened(b"x", LocalSigner(KEY), header={"x5c": ["M" * (size - bare + more)]})
        assert code_of(lambda token=flattened: verifier.verify(token)) == code


def test_B4_the_limits_fit_each_other() -> None:
    """A raised header limit raises the default of the token's, and a token limit without room is refused."""
    for size in (0, -1, HEADER_CEILING_BYTES + 1):
        with pytest.raises(ConfigurationError) as caught:
            Engine(issuer(), max_header_bytes=size)
        assert caught.value.place == "max_header_bytes"
    with pytest.raises(ConfigurationError) as caught:
        Engine(issuer(), max_header_bytes=HEADER_CEILING_BYTES, max_token_bytes=16 * 1024)
    assert caught.value.place == "max_token_bytes"
    default = Engine(issuer())
    assert code_of(lambda: default.verify(chain_token(HEADER_MAX_BYTES + 1))) == "too_large"
    roomy = Engine(issuer(), max_header_bytes=HEADER_CEILING_BYTES, max_token_bytes=64 * 1024)
    assert code_of(lambda: roomy.verify(chain_token(HEADER_CEILING_BYTES))) == "ok"


# --- N11 -------------------------------------------------------------------------------------------------


def test_N11_reprs_help_and_hold_no_secrets() -> None:
    """An engine shows issuers, keys and whether it is ready; a verifier its keys; neither shows key bytes."""
    engine, verifier = Engine(issuer()), Verifier(KEY.public(), algorithms=["ES256"])
    assert repr(engine) == f"<Engine of '{ISS}': 1 keys, ready>"
    assert repr(verifier) == "<Verifier: 'k' ES256>"
    secret = JWK.from_secret(SECRET, alg="HS256")
    shown = repr(Engine(Issuer(None, keys=secret, algorithms=["HS256"]))) + repr(issuer(keys=KEY.public()))
    assert SECRET not in shown
    assert KEY.as_dict()["x"] not in shown
