"""The promises of diagnose: it never raises, never leaks, never decides, and is quick."""

from __future__ import annotations

import io
import json
import time
from functools import lru_cache
from typing import Any

import pytest
from broken_world import (
    AUD,
    BANK,
    KINDS,
    NOW,
    b64,
    bank_keys,
    claims,
    dumps,
    engine,
    header,
    hs_engine,
    token,
)
from gallery_keys import rows as key_rows
from gallery_shape import rows as shape_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.causes import CAUSES
from rapidjws.errors import CODES, RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer

MOST_S = 0.5
LARGE = 64 * 1024
GALLERY = [*shape_rows(), *key_rows()]


@lru_cache(maxsize=1)
def large_engine() -> Engine:
    """Return an engine that takes tokens of any size the tests make."""
    bank = Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=KINDS, audience=AUD)
    return Engine(bank, max_token_bytes=2 * LARGE)


def verdict(made: Any, judge: Engine | None = None) -> str | None:
    """Return the engine's code for a token."""
    try:
        (judge or engine()).verify(made, NOW)
    except RapidJWSError as refused:
        return refused.code
    return None


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SEGMENT = st.text(alphabet=_ALPHABET, max_size=80)
_LIKE_TOKENS = st.builds(
    lambda head, payload, last: f"{b64(head)}.{b64(payload)}.{last}",
    st.one_of(st.binary(max_size=60), st.builds(dumps, st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12),
                  st.sampled_from(["ES256", "RS256", "HS256", "none", "EdDSA", "ES512"]),
                  st.lists(st.text(max_size=4), max_size=3)))),
             st.just(dumps(header("ES256")))),
    st.one_of(st.binary(max_size=120), st.builds(dumps, st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub"]),
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(),
                  st.text(max_size=9))))),
    _SEGMENT,
)  # fmt: skip
_ANYTHING = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=400),
    _LIKE_TOKENS,
    st.builds(lambda at, byte: _changed(at, byte), st.integers(0, 10_000), st.integers(0, 255)),
)


def _changed(at: int, byte: int) -> bytes:
    data = bytearray(token().encode())
    data[at % len(data)] = byte
    return bytes(data)


@settings(max_examples=400)
@given(_ANYTHING)
def test_never_raises_and_never_decides(made: str | bytes) -> None:
    """On whatever bytes, diagnose returns, and its verdict is the engine's."""
    report = diagnose(made, engine(), now=NOW)
    assert report.code == verdict(made)
    assert report.accepted or report.causes
    json.loads(report.to_json())
    report.to_markdown()
    assert not any("could not be made" in check.text for check in report.checks), report.checks


@pytest.mark.parametrize(
    "made",
    [
        b"\0" * LARGE,
        b"." * LARGE,
        b"ey" * (LARGE // 2),
        token(payload=b"[" * 48_000).encode(),
        token(payload=b'{"a":"' + b"x" * 48_000 + b'"}').encode()[:-4] + b"AAAA",
        token(payload=dumps({f"n{n}": n for n in range(3500)})).encode()[:-4] + b"AAAA",
        token("ES512", b"\n" * 48_000).encode()[:-4] + b"AAAA",
        token("ES384", "é".encode() * 24_000).encode()[:-4] + b"AAAA",
        (" " * LARGE).encode(),
        b"%2E" * (LARGE // 3),
        b'{"' * (LARGE // 2),
        ("a." * (LARGE // 2)).encode(),
        b"\\n" * (LARGE // 2),
    ],
    ids=range(13),
)
def test_quick_on_large_input(made: bytes) -> None:
    """A diagnosis of 64 KiB is bounded (50 ms on a quiet machine, ten times that here), whatever it holds."""
    for judge in (engine(), large_engine()):
        diagnose(made, judge, now=NOW)
        best = min(_timed(made, judge) for _ in range(5))
        assert best < MOST_S, best


def _timed(made: bytes, judge: Engine) -> float:
    start = time.thread_time()
    report = diagnose(made, judge, now=NOW)
    spent = time.thread_time() - start
    assert report.code == verdict(made, judge)
    return spent


@pytest.mark.parametrize(
    ("name", "made", "more"), [(row[0], row[2], row[3]) for row in GALLERY], ids=[r[0] for r in GALLERY]
)
def test_nothing_replayable_is_shown(name: str, made: Any, more: dict[str, Any]) -> None:
    """No rendering of any gallery case holds the signature, the payload or the token."""
    report = diagnose(made, **more)
    text = made.decode("latin-1") if isinstance(made, bytes) else made or ""
    shown = report.to_json() + report.to_markdown() + repr(report)
    for part in text.replace("\n", ".").split("."):
        if len(part) > 40 and part != b64(dumps(header("ES256"))):
            assert part[4:36] not in shown
    if name == "opaque":
        assert text[:8] not in shown


def test_token_is_shown_when_asked() -> None:
    """The token stands in the report only where the caller asks for it."""
    made = token()
    assert made not in diagnose(made, engine(), now=NOW).to_json()
    assert made in diagnose(made, engine(), now=NOW, show_token=True).to_json()


@pytest.mark.parametrize("using", [None, 7, object(), b"", "{}", {"keys": 1}, [1], ()])
def test_any_set_up_is_explained(using: Any) -> None:
    """Whatever stands for the keys, the report names a cause instead of raising."""
    report = diagnose(token(), using, now=NOW)
    assert not report.accepted
    assert report.causes


def test_accepted_token_has_no_cause() -> None:
    """A good token is accepted, with no cause and no failed check."""
    report = diagnose(token(), engine(), now=NOW)
    assert report.accepted
    assert report.outcome == "permit"
    assert report.causes == ()
    assert [check for check in report.checks if check.status == "fail"] == []


def test_leeway_is_named_where_it_decided() -> None:
    """A token that lives by the leeway alone is marked."""
    report = diagnose(token(payload=claims(exp=NOW - 20, iat=NOW - 300)), engine(), now=NOW)
    assert report.accepted
    (check,) = (check for check in report.checks if check.name == "exp")
    assert check.status == "warn"
    assert "leeway of 60 s alone" in check.text


def test_every_module_reports() -> None:
    """A token with several faults gets a check for each, not only for the first."""
    made = token(payload=claims(exp=NOW - 5000, aud="https://x.example"), head=header("ES256", "who"))
    failed = {
        (check.part, check.name)
        for check in diagnose(made, engine(), now=NOW).checks
        if check.status == "fail"
    }
    assert {("key", "kid"), ("claims", "exp"), ("claims", "aud")} <= failed


def test_detached_body_is_judged() -> None:
    """A detached token with its body is judged as the whole token."""
    payload = dumps(claims())
    first, _, last = token(payload=payload).split(".")
    assert diagnose(f"{first}..{last}", engine(), body=payload, now=NOW).accepted
    assert not diagnose(f"{first}..{last}", engine(), body=payload + b" ", now=NOW).accepted


def test_body_is_compared() -> None:
    """A body that differs from the payload is reported though the token is good."""
    report = diagnose(token(), engine(), body=b"{}", now=NOW)
    assert report.accepted
    assert report.probable_cause is not None
    assert report.probable_cause.id == "body_changed"


def test_bare_keys_serve() -> None:
    """Keys alone do for a diagnosis of the signature."""
    assert diagnose(token(), JWKSet(bank_keys())).accepted
    assert diagnose(token(), JWKSet(bank_keys()).as_dict()).accepted
    assert (
        diagnose(token(), json.dumps(JWKSet(bank_keys()).as_dict()), algorithms=["RS256"]).code
        == "algorithm_not_allowed"
    )


def test_cause_table_is_sound() -> None:
    """Every cause has words, and ids shared with CODES mean the same refusal."""
    assert all(row.title.endswith(".") and row.fix.endswith(".") for row in CAUSES.values())
    assert {"too_large", "expired", "duplicate_kid", "ambiguous_key", "unknown_issuer"} <= set(CAUSES) & set(
        CODES
    )


def test_secret_is_never_shown() -> None:
    """Neither the shared secret nor the MAC stands in a report."""
    report = diagnose(token(head=header("HS256", "bank-hs"), jwk=None), hs_engine(), now=NOW)
    assert "correct horse" not in report.to_json()
    assert AUD in report.to_json() or report.code is not None


def test_terminal_rendering() -> None:
    """The terminal report shows verdict, cause and fix, and passes no escape on."""
    rich = pytest.importorskip("rich.console")
    console = rich.Console(record=True, width=100, file=io.StringIO())
    diagnose(token(head=header("ES256", "a\x1b[31mb")), engine(), now=NOW).to_terminal(console)
    text = console.export_text()
    assert "unknown_kid" in text
    assert "fix" in text
    assert "\x1b[31mb" not in text


def test_A4_a_report_uses_field_words() -> None:
    """A check says which part it looked at, and a check that fails itself says so in plain words."""
    from rapidjws.diagnose import examine, header

    check = diagnose("a.b.c", {"keys": []}).checks[0]
    assert check.as_dict()["part"] == "structure"
    assert "section" not in check.as_dict()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(header, "examine", lambda case: 1 / 0)
        report = examine.examine("a.b.c", {"keys": []})
    (failed,) = [one for one in report.checks if one.name == "header_checks"]
    assert failed.text == "the checks of header could not be made (ZeroDivisionError)"


def test_a_cut_token_is_not_said_to_have_three_parts() -> None:
    """The row with the lengths of the parts is good only where two dots stand in the token."""
    good = token()
    for made, status in ((good, "ok"), (good.rpartition(".")[0], "info")):
        rows = [row for row in diagnose(made, engine(), now=NOW).checks if row.name == "parts"]
        assert [(row.status, "three parts" in row.text) for row in rows] == [(status, status == "ok")]
