"""The largest of each value that somebody chooses: it is taken, and one more is not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import tokens

from rapidjws import Engine, RapidJWSError, TokenCache
from rapidjws.authz.delegation import DEPTH_MAX, Delegation
from rapidjws.authz.rule import NAME_MAX_CHARS, Rule
from rapidjws.introspection.cache import AnswerCache
from rapidjws.issuing.announcement import CONSUMERS_MAX, Announcer, Consumer
from rapidjws.issuing.client_authentication import BASIC_MAX_CHARS, _basic_of
from rapidjws.issuing.schedule import FREEZES_MAX, FreezeWindow, Schedule
from rapidjws.issuing.token_request import TARGETS_MAX, targets_of
from rapidjws.jose.claim_rules import RULES_MAX, VALUES_MAX, OneOf, checked_rules
from rapidjws.jose.json_pointer import POINTER_MAX_CHARS, TOKENS_MAX, parse_pointer
from rapidjws.jose.spiffe_id import ID_MAX_CHARS, is_workload_of
from rapidjws.jwt.cache import ENTRY_OVERHEAD_BYTES
from rapidjws.keys.refresh_limiter import REQUESTED_MAX, Budget, RefreshLimiter
from rapidjws.keys.settings import UnknownKids
from rapidjws.middleware import BodyReplay
from rapidjws.middleware.body_replay import ID_MAX_BYTES, KEEP_MAX_S
from rapidjws.middleware.claim_headers import HEADERS_MAX, WHOLE_MAX_BITS, ClaimHeaders, json_text
from rapidjws.middleware.response import VALUE_MAX_CHARS, encoded_subject, scopes_text
from rapidjws.sender.dpop import JTI_MAX_BYTES, _jti
from rapidjws.sender.http_uri import URI_MAX_CHARS, http_uri, request_path
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify.revocations import MAX_NAME_CHARS, Revocation

FREEZE = FreezeWindow("fri 16:00 - mon 08:00 UTC")


def _basic(chars: int) -> Any:
    import base64

    text = base64.b64encode(b"a:" + b"b" * chars).decode()[:chars]
    return _basic_of([f"Basic {text}"])


def _targets(count: int) -> Any:
    names = [f"https://{number}.example" for number in range(count)]
    return targets_of(SimpleNamespace(audiences=names), names)  # type: ignore[arg-type]


def _consumers(count: int) -> Any:
    consumers = [Consumer(name=str(at), url="https://a.example", secret="s" * 32) for at in range(count)]
    return Announcer("https://a.example", consumers, lambda *_: None)  # type: ignore[arg-type,return-value]


TAKEN: dict[str, tuple[int, Callable[[int], Any]]] = {
    "actors of a rule": (DEPTH_MAX, lambda most: Delegation(max_depth=most)),
    "name of a rule": (NAME_MAX_CHARS, lambda chars: Rule(name="n" * chars, any_token=True)),
    "freezes": (FREEZES_MAX, lambda count: Schedule("every 30 days at 03:00 UTC", freezes=(FREEZE,) * count)),
    "targets of a token": (TARGETS_MAX, _targets),
    "consumers": (CONSUMERS_MAX, _consumers),
    "rules of claims": (
        RULES_MAX,
        lambda count: checked_rules({f"c{at}": "v" for at in range(count)}, "claims"),
    ),
    "values of a rule": (VALUES_MAX, lambda count: OneOf(*map(str, range(count)))),
    "pointer": (POINTER_MAX_CHARS, lambda chars: parse_pointer("/" + "p" * (chars - 1), "place")),
    "names of a pointer": (TOKENS_MAX, lambda count: parse_pointer("/p" * count, "place")),
    "life of a body's use": (KEEP_MAX_S, lambda keep_s: BodyReplay(store=MemoryReplayStore(), keep_s=keep_s)),
    "headers of claims": (
        HEADERS_MAX,
        lambda count: ClaimHeaders({f"c{at}": f"x-{at}" for at in range(count)}),
    ),
    "name of a revocation": (MAX_NAME_CHARS, lambda chars: Revocation(kid="k" * chars)),
    "client's credentials": (BASIC_MAX_CHARS, _basic),
}


@pytest.mark.parametrize("name", TAKEN)
def test_T11_the_largest_is_taken_and_one_more_is_not(name: str) -> None:
    """A bound is where its name says."""
    largest, take = TAKEN[name]
    take(largest)
    with pytest.raises(RapidJWSError):
        take(largest + 1)


READ: dict[str, tuple[int, Callable[[int], Any]]] = {
    "SPIFFE ID": (
        ID_MAX_CHARS,
        lambda chars: is_workload_of("spiffe://a/" + "p" * (chars - 11), "spiffe://a"),
    ),
    "URI of a proof": (URI_MAX_CHARS, lambda chars: http_uri("https://a.example/" + "p" * (chars - 18))),
    "path of a request": (URI_MAX_CHARS, lambda chars: request_path("/" + "p" * (chars - 1))),
    "scopes of a header": (VALUE_MAX_CHARS, lambda chars: scopes_text({"scope": "s" * chars})),
}


@pytest.mark.parametrize("name", READ)
def test_T11_the_largest_is_read_and_one_more_is_nothing(name: str) -> None:
    """What is longer has no reading."""
    largest, read = READ[name]
    assert read(largest)
    assert not read(largest + 1)


def test_T11_a_subject_is_encoded_up_to_its_bound() -> None:
    """A longer one has its digest there, and none is cut."""
    for more, is_whole in ((0, True), (1, False)):
        text = encoded_subject("\u00e9" + "x" * (VALUE_MAX_CHARS - 6 + more))
        assert text.startswith("%C3%A9x" if is_whole else "sha256:")


def test_T11_the_largest_whole_number_of_a_header() -> None:
    """One bit more costs too much."""
    assert json_text((1 << WHOLE_MAX_BITS) - 1)
    with pytest.raises(ValueError, match="digits"):
        json_text(1 << WHOLE_MAX_BITS)


def test_T11_a_cache_at_its_bounds() -> None:
    """As many tokens and octets as may be, and the oldest goes for one more."""
    size = 10 + ENTRY_OVERHEAD_BYTES
    for most, cache in (
        (2, TokenCache(max_entries=2)),
        (2, TokenCache(max_bytes=2 * size)),
        (1, TokenCache(max_bytes=2 * size - 1)),
        (1, TokenCache(max_bytes=size)),
        (0, TokenCache(max_bytes=size - 1)),
    ):
        for number in range(3):
            cache.put(b"%010d" % number, None, 0)
        assert list(cache._entries) == [b"%010d" % number for number in range(3 - most, 3)]


def test_T11_answers_about_tokens_at_their_most() -> None:
    """Of either kind as many; active ones are pushed out by active ones only."""
    cache = AnswerCache(2)
    for number, active in enumerate([True, True, False, False, False]):
        answer: Any = SimpleNamespace(active=active)
        cache.put(b"%d" % number, answer, 1e9)
    assert [list(cache._active), list(cache._inactive)] == [[b"0", b"1"], [b"3", b"4"]]


def test_T11_the_kids_that_are_asked_for_at_once() -> None:
    """So many are noted for one refresh, and no more."""
    gate = RefreshLimiter(UnknownKids(), lambda: 1000.0, Budget(1000, 1.0))
    for number in range(REQUESTED_MAX + 1):
        gate.request(str(number))
    assert len(gate.begin_refresh(by_unknown_kid=True)) == REQUESTED_MAX


@pytest.mark.parametrize(
    ("chars", "is_taken"), [(0, False), (1, True), (JTI_MAX_BYTES, True), (JTI_MAX_BYTES + 1, False)]
)
def test_T11_the_name_of_a_proof(chars: int, is_taken: bool) -> None:
    """A proof without one, or with a longer one, is none."""
    if is_taken:
        assert len(_jti({"jti": "j" * chars})) == chars
    else:
        with pytest.raises(RapidJWSError):
            _jti({"jti": "j" * chars})


@pytest.mark.parametrize(
    ("chars", "is_taken"), [(0, False), (1, True), (ID_MAX_BYTES, True), (ID_MAX_BYTES + 1, False)]
)
def test_T11_the_name_of_a_body(chars: int, is_taken: bool) -> None:
    """A body without one, or with a longer one, is refused before its use is recorded."""
    replay = BodyReplay(store=MemoryReplayStore(), identity="/id")
    if is_taken:
        assert replay._identity({"id": "i" * chars}, b"").endswith(b"i" * chars)
    else:
        with pytest.raises(RapidJWSError):
            replay._identity({"id": "i" * chars}, b"")


@pytest.mark.parametrize("form", [str, str.encode, lambda text: bytearray(text.encode())])
def test_T11_a_token_at_its_largest(form: Callable[[str], Any]) -> None:
    """In every form in which it may be given."""
    text = tokens.token()
    assert tokens.code_of(Engine(tokens.issuer(), max_token_bytes=len(text)), form(text)) == "ok"
    assert tokens.code_of(Engine(tokens.issuer(), max_token_bytes=len(text) - 1), form(text)) == "too_large"


def test_T11_an_expression_at_its_longest() -> None:
    """One more character is not loaded."""
    pytest.importorskip("cel", reason="the extra `cel` is not installed")
    from rapidjws.authz.expression import CHARS_MAX, Expression

    text = "claims.a == 1".ljust(CHARS_MAX)
    Expression(text)
    for wrong in (text + " ", ""):
        with pytest.raises(RapidJWSError):
            Expression(wrong)


def test_T11_policies_at_their_longest() -> None:
    """One more character is not loaded, in either language."""
    pytest.importorskip("cedarpy", reason="the extra `cedar` is not installed")
    pytest.importorskip("hobofan_regorus", reason="the extra `rego` is not installed")
    from rapidjws.authz import cedar, rego

    permit = "permit(principal, action, resource);".ljust(cedar.SOURCE_MAX_CHARS)
    allow = "package a\n\nallow := true\n".ljust(rego.SOURCE_MAX_CHARS)
    cedar.CedarPolicy(permit)
    rego.RegoPolicy(allow, path="a/allow")
    for wrong in (permit + " ", ""):
        with pytest.raises(RapidJWSError):
            cedar.CedarPolicy(wrong)
    for wrong in (allow + " ", ""):
        with pytest.raises(RapidJWSError):
            rego.RegoPolicy(wrong, path="a/allow")
