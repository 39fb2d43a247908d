"""Every limit of the JOSE layer that decides a verdict: one below, at the limit, and one above.

The engine is asked singly, for a header it knows, and in batches (``code_of``): a limit is the same on every
way that a token may take.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from bounds import around, code, rsa_modulus
from tokens import AUD, ISS, NOW_S, b64url, claims, code_of, issuer, key, public, sign

from rapidjws import JWK, Engine, JWKSet, Verifier
from rapidjws.jose import limits
from rapidjws.jose.claims import ClaimsPolicy, check_claims
from rapidjws.jose.jws import parse_header

HS256 = key("HS256")
KID = HS256.kid
POLICY = ClaimsPolicy(issuer=ISS, audiences=(AUD,))


def header_of(size: int) -> bytes:
    """Return a good header of exactly this many bytes."""
    text = json.dumps({"alg": "HS256", "kid": KID, "x": ""}, separators=(",", ":"))
    return text.replace('"x":""', '"x":"' + "x" * (size - len(text)) + '"').encode()


def token_of(size: int) -> str:
    """Return a good token of exactly this many characters."""
    for more in range(4):  # a length of base64url may not be 1 modulo 4
        header = header_of(80 + more)
        payload = size - len(b64url(header)) - len("..") - len(b64url(bytes(32)))
        if payload % 4 != 1:
            text = json.dumps(claims(x=""), separators=(",", ":"))
            octets = text.replace('"x":""', '"x":"' + "x" * (payload * 3 // 4 - len(text)) + '"').encode()
            return sign(HS256, header, octets)
    raise AssertionError


def nested(depth: int) -> Any:
    """Return arrays, this many of them open at once."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def asked(header: Any = None, payload: Any = None, **options: Any) -> str:
    """Return what a fresh engine makes of a token with this header and payload."""
    octets = payload if isinstance(payload, bytes) else json.dumps(payload or claims()).encode()
    token = sign(HS256, header or {"alg": "HS256", "kid": KID}, octets)
    return code_of(Engine(issuer("HS256"), **options), token)


def test_size_of_a_token() -> None:
    """16 KiB, 64 KiB where ML-DSA is allowed, and any limit that is given."""

    def of(size: int, **options: Any) -> str:
        token = token_of(size)
        assert len(token) == size
        return code_of(Engine(issuer("HS256"), **options), token)

    around(limits.TOKEN_MAX_BYTES, of, "too_large")
    around(1000, lambda size: of(size, max_token_bytes=1000), "too_large")
    large = Engine(issuer("HS256", algorithms=["HS256", "ML-DSA-44"]))
    around(limits.TOKEN_MAX_BYTES_MLDSA, lambda size: code_of(large, token_of(size)), "too_large")
    assert (limits.TOKEN_MAX_BYTES, limits.TOKEN_MAX_BYTES_MLDSA) == (16_384, 65_536)


def test_size_of_a_header() -> None:
    """2 KiB of decoded header, or as given, up to 16 KiB."""
    around(2048, lambda size: asked(header_of(size)), "too_large")
    around(2048, lambda size: code(parse_header, header_of(size)), "too_large")
    around(100, lambda size: asked(header_of(size), max_header_bytes=100), "too_large")
    around(16_384, lambda size: asked(header_of(size), max_header_bytes=16_384), "too_large")


@pytest.mark.parametrize(
    ("name", "least", "most"), [("max_header_bytes", 1, 16_384), ("max_token_bytes", 1, 262_144)]
)
def test_limits_that_may_be_set(name: str, least: int, most: int) -> None:
    """From one byte up to the ceiling."""
    for build in (
        lambda size: code(Engine, issuer("HS256"), **{name: size}),
        lambda size: code(Verifier, public("HS256"), algorithms=["HS256"], **{name: size}),
    ):
        around(most, build, "configuration_invalid")
        assert [build(size) for size in (least - 1, least, least + 1)] == [
            "configuration_invalid",
            "ok",
            "ok",
        ]


def test_token_limit_leaves_place_for_a_raised_header() -> None:
    """A raised header limit asks for a token limit above the header's own text."""

    def of(header: int, token: int) -> str:
        return code(Engine, issuer("HS256"), max_header_bytes=header, max_token_bytes=token)

    text = limits.encoded_bytes(2049)
    assert [of(2049, text + step) for step in (-1, 0, 1)] == ["configuration_invalid"] * 2 + ["ok"]
    assert of(2048, limits.encoded_bytes(2048)) == "ok"
    longer = Engine(issuer("HS256"), max_header_bytes=4096)
    default = limits.TOKEN_MAX_BYTES + limits.encoded_bytes(4096) - limits.encoded_bytes(2048)
    around(default, lambda size: code_of(longer, token_of(size)), "too_large")


def test_members_of_a_header_and_of_claims() -> None:
    """64 members of a header, 1 024 of a Claims Set, in C and in Python."""

    def header(count: int) -> dict[str, Any]:
        return {"alg": "HS256", "kid": KID, **{f"x{n}": n for n in range(count - 2)}}

    def payload(count: int) -> dict[str, Any]:
        return claims(**{f"x{n}": n for n in range(count - len(claims()))})

    around(64, lambda count: asked(header(count)), "too_many_members")
    around(64, lambda count: code(parse_header, json.dumps(header(count)).encode()), "too_many_members")
    around(64, lambda count: asked({**header(3), "x0": header(count)}), "too_many_members")
    around(1024, lambda count: asked(payload=payload(count), max_token_bytes=65_536), "too_many_members")
    around(
        1024,
        lambda count: code(check_claims, json.dumps(payload(count)).encode(), POLICY, NOW_S),
        "too_many_members",
    )
    around(
        1024,
        lambda count: asked(payload=claims(x=payload(count)), max_token_bytes=65_536),
        "too_many_members",
    )


def test_depth_of_json() -> None:
    """32 containers open at once, in a header, in claims, in a JWK, in a JWK Set."""
    around(32, lambda depth: asked({"alg": "HS256", "kid": KID, "x": nested(depth - 1)}), "too_deep")
    around(32, lambda depth: asked(payload=claims(x=nested(depth - 1))), "too_deep")
    around(
        32,
        lambda depth: code(parse_header, json.dumps({"alg": "HS256", "x": nested(depth - 1)}).encode()),
        "too_deep",
    )
    octets = HS256.as_dict(private=True)
    around(
        32, lambda depth: code(JWK.from_json, json.dumps({**octets, "x": nested(depth - 1)})), "key_malformed"
    )
    around(
        32,
        lambda depth: code(JWKSet.from_json, json.dumps({"keys": [], "x": nested(depth - 1)})),
        "jwks_malformed",
    )


def test_kid() -> None:
    """512 characters in a header and in a JWK; in a JWK at least one."""
    members = HS256.as_dict(private=True)

    def of(count: int) -> str:
        return code(JWK.from_json, {**members, "kid": "k" * count})

    around(
        512,
        lambda count: code(parse_header, b'{"alg":"HS256","kid":"%s"}' % (b"k" * count)),
        "malformed_header",
    )
    around(512, of, "key_malformed")
    assert (of(0), of(1)) == ("key_malformed", "ok")
    held = Engine(issuer("HS256", keys=[JWK.from_json({**members, "kid": "k" * 512})]))
    around(512, lambda count: "ok" if count < 512 else code_of(held, _with_kid(count)), "malformed_header")


def _with_kid(count: int) -> str:
    return sign(HS256, {"alg": "HS256", "kid": "k" * count}, json.dumps(claims()).encode())


def test_signatures_and_members_of_a_json_serialization() -> None:
    """32 signatures, or as given; 64 members."""
    header, payload, signature = sign(HS256, {"alg": "HS256", "kid": KID}, b"{}").split(".")
    one = {"protected": header, "signature": signature}

    def of(count: int, **options: Any) -> str:
        text = json.dumps({"payload": payload, "signatures": [one] * count})
        return code_of(Verifier(public("HS256"), algorithms=["HS256"], **options), text)

    def members(count: int) -> str:
        text = json.dumps({"payload": payload, **one, **{f"x{n}": n for n in range(count - 3)}})
        return code_of(Verifier(public("HS256"), algorithms=["HS256"]), text)

    around(32, of, "too_large")
    around(2, lambda count: of(count, max_signatures=2), "too_large")
    around(64, members, "too_many_members")


def test_size_of_a_jwk() -> None:
    """64 KiB of text, 64 members, 16 operations."""
    members = HS256.as_dict(private=True)
    text = json.dumps(members)
    around(65_536, lambda size: code(JWK.from_json, text + " " * (size - len(text))), "key_malformed")

    def with_members(count: int) -> str:
        more = {f"x{n}": n for n in range(count - len(members))}
        return code(JWK.from_json, json.dumps({**members, **more}))

    def with_operations(count: int) -> str:
        operations = ["sign", "verify", *(f"x{n}" for n in range(count - 2))]
        return code(JWK.from_json, {**members, "key_ops": operations})

    around(64, with_members, "key_malformed")
    around(16, with_operations, "key_malformed")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", None])
def test_size_of_a_secret(alg: str | None) -> None:
    """At least the digest's size (RFC 7518 s.3.2); without alg 32 bytes."""
    least = 32 if alg is None else int(alg[2:]) // 8

    def of(size: int) -> str:
        members = {"kty": "oct", "k": b64url(bytes(range(150, 250))[:size])}
        return code(JWK.from_json, members if alg is None else {**members, "alg": alg})

    assert [of(least + step) for step in (-1, 0, 1)] == ["key_weak", "ok", "ok"]


def rsa(n: int, e: int = 65_537) -> str:
    """Return what becomes of an RSA public key."""
    return code(
        JWK.from_json,
        {
            "kty": "RSA",
            "n": b64url(n.to_bytes(-(-n.bit_length() // 8), "big")),
            "e": b64url(e.to_bytes(max(1, -(-e.bit_length() // 8)), "big")),
        },
    )


def test_size_of_an_rsa_key() -> None:
    """2 048 to 16 384 bit (RFC 7518 s.3.3); an exponent of 3 up to 64 bit."""
    assert [rsa(rsa_modulus(bits)) for bits in (2047, 2048, 2049)] == ["key_weak", "ok", "ok"]
    assert [rsa(rsa_modulus(bits)) for bits in (16_383, 16_384, 16_385)] == ["ok", "ok", "key_unsupported"]
    n = rsa_modulus(2048)
    assert [rsa(n, e) for e in (1, 2, 3, 4, 5)] == ["key_weak", "key_weak", "ok", "key_weak", "ok"]
    assert [rsa(n, e) for e in (2**63 - 1, 2**64 - 1, 2**64 + 1)] == ["ok", "ok", "key_unsupported"]


def test_members_of_a_key_in_a_set() -> None:
    """A key of more than 64 members is left out, the others stay."""
    members = HS256.as_dict(private=True)
    other = key("HS256", "k2").as_dict(private=True)

    def of(count: int) -> str:
        more = {f"x{n}": n for n in range(count - len(members))}
        made = JWKSet.from_json(json.dumps({"keys": [{**members, **more}, other]}))
        assert other["kid"] in {one.kid for one in made.keys}
        return made.skipped[0].code if made.skipped else "ok"

    around(64, of, "key_malformed")


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_numeric_date(name: str) -> None:
    """Up to the last second of the year 9999, not a billionth of a second more; not below zero."""
    last = limits.NUMERIC_DATE_MAX_S
    assert last == 253_402_300_799
    later = {"exp": "ok", "nbf": "not_yet_valid", "iat": "issued_in_future"}[name]
    early = {"exp": "expired", "nbf": "ok", "iat": "ok"}[name]
    for text, expected in [
        (f"{last - 1}", later),
        (f"{last}", later),
        (f"{last}.0", later),
        (f"{last}.000000001", "malformed_claim"),
        (f"{last}.0000000001", "malformed_claim"),
        (f"{last}" + "0" * 5 + "e-5", later),
        (f"{last + 1}", "malformed_claim"),
        ("0", early),
        ("-0.000000001", "malformed_claim"),
        ("-1", "malformed_claim"),
    ]:
        octets = json.dumps(claims(**{name: "here"})).replace('"here"', text).encode()
        assert asked(payload=octets) == expected, text
        assert code(check_claims, octets, POLICY, NOW_S) == expected, text


@pytest.mark.parametrize("leeway", [0, 60])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "max_age_s"])
def test_times_and_leeway(name: str, leeway: int) -> None:
    """A second before, at, and after each end of a token's life, with its leeway; then a billionth of one."""
    changes, end, codes = {
        "exp": ({"exp": NOW_S}, NOW_S + leeway, ["ok", "expired", "expired"]),
        "nbf": ({"nbf": NOW_S}, NOW_S - leeway, ["not_yet_valid", "ok", "ok"]),
        "iat": ({"iat": NOW_S, "exp": NOW_S + 900}, NOW_S - leeway, ["issued_in_future", "ok", "ok"]),
        "max_age_s": ({"iat": NOW_S, "exp": NOW_S + 900}, NOW_S + 100 + leeway, ["ok", "ok", "too_old"]),
    }[name]
    age = 100 if name == "max_age_s" else None
    engine = Engine(issuer("HS256", leeway_s=leeway, max_age_s=age))
    policy = ClaimsPolicy(issuer=ISS, audiences=(AUD,), leeway_s=leeway, max_age_s=age)
    octets = json.dumps(claims(iat=None) | changes).encode()
    token = sign(HS256, {"alg": "HS256", "kid": KID}, octets)
    for step, expected in zip((-1, 0, 1), codes, strict=True):
        assert code_of(engine, token, end + step) == expected
        assert code(check_claims, octets, policy, end + step) == expected


def test_leeway_and_age_that_may_be_set() -> None:
    """A leeway of 0 to 86 400 s, whole; an age of at least a second."""
    for build in (
        lambda value: code(issuer, "HS256", leeway_s=value),
        lambda value: code(ClaimsPolicy, leeway_s=value),
    ):
        around(86_400, build, "configuration_invalid")
        assert [build(value) for value in (-1, 0, 1)] == ["configuration_invalid", "ok", "ok"]

    def age(value: int) -> str:
        return code(lambda: Engine(issuer("HS256", max_age_s=value)))

    assert [age(value) for value in (-1, 0, 1)] == ["configuration_invalid"] * 2 + ["ok"]
    around(
        limits.NUMERIC_DATE_MAX_S, lambda value: code(ClaimsPolicy, max_age_s=value), "configuration_invalid"
    )


def test_clock_that_is_too_early() -> None:
    """A measured time before this package was made is no time; a given one is as good as any."""
    floor = limits.CLOCK_FLOOR_S
    octets = json.dumps(claims(iat=None, exp=floor + 900)).encode()

    def measured(now: float) -> str:
        return code(check_claims, octets, POLICY, now, now_is_measured=True)

    assert [measured(floor + step) for step in (-1, -0.5, 0, 1)] == ["clock_implausible"] * 2 + ["ok"] * 2
    assert code(check_claims, octets, POLICY, floor - 1) == "ok"


def test_clock_of_an_engine_that_is_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the nanosecond: the first moment of the floor is a time, the one before is none."""
    floor_ns = limits.CLOCK_FLOOR_S * 1_000_000_000
    octets = json.dumps(claims(iat=None, exp=limits.CLOCK_FLOOR_S + 900)).encode()
    token = sign(HS256, {"alg": "HS256", "kid": KID}, octets)
    engine = Engine(issuer("HS256"))
    for step, expected in ((-1, "clock_implausible"), (0, "ok"), (1, "ok")):
        monkeypatch.setattr("rapidjws.jwt.clock.time_ns", lambda step=step: floor_ns + step)
        assert code(engine.verify_many, [token]) == expected  # one token has the core read the clock


def test_now() -> None:
    """A time that is given lies between 1970 and the year 9999."""
    octets = json.dumps(claims(iat=None, exp=limits.NUMERIC_DATE_MAX_S)).encode()
    token = sign(HS256, {"alg": "HS256", "kid": KID}, octets)
    engine = Engine(issuer("HS256"))
    for now, expected in [
        (-1, "configuration_invalid"),
        (0, "ok"),
        (limits.NUMERIC_DATE_MAX_S, "ok"),
        (limits.NUMERIC_DATE_MAX_S + 1, "configuration_invalid"),
    ]:
        assert code(engine.verify, token, now) == expected
        assert code(check_claims, octets, POLICY, now) == expected


def test_size_of_a_key_set() -> None:
    """256 KiB and 100 keys fetched; 64 MiB and 100 000 keys otherwise; or as given."""
    text = json.dumps({"keys": []})

    def of_size(size: int, **options: Any) -> str:
        return code(JWKSet.from_json, text + " " * (size - len(text)), **options)

    def of_keys(count: int, **options: Any) -> str:
        return code(JWKSet.from_json, '{"keys": [' + ",".join(["0"] * count) + "]}", **options)

    around(262_144, lambda size: of_size(size, fetched=True), "jwks_too_large")
    around(1000, lambda size: of_size(size, max_bytes=1000), "jwks_too_large")
    assert [of_size(64 * 1024 * 1024 + step) for step in (0, 1)] == ["ok", "jwks_too_large"]
    around(100, lambda count: of_keys(count, fetched=True), "jwks_too_large")
    around(3, lambda count: of_keys(count, max_keys=3), "jwks_too_large")
    assert [of_keys(100_000 + step) for step in (0, 1)] == ["ok", "jwks_too_large"]
