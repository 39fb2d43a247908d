"""The push endpoint: authenticated, bounded, and it fetches at once."""

from __future__ import annotations

import pytest
from issuers import setup, wait_for

from rapidjws import JWK, ConfigurationError, JWKSet
from rapidjws.keys import RotatedHook
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key
from rapidjws.verify.protocols import KeyState

SECRET = "s" * 40
GOOD = f"Bearer {SECRET}"


class Counting:
    """A count of invalidations."""

    def __init__(self) -> None:
        self.count = 0

    def invalidate(self) -> None:
        """Count."""
        self.count += 1


@pytest.mark.parametrize(
    ("method", "authorization", "body", "status"),
    [
        ("POST", GOOD, b"", 202),
        ("POST", GOOD, b'{"issuer": "https://a.example"}', 202),
        ("POST", f"bearer {SECRET}", b"{}", 202),
        ("POST", GOOD, b'{"issuer": "https://b.example"}', 404),
        ("POST", GOOD, b'{"issuer": 7}', 400),
        ("POST", GOOD, b"[]", 400),
        ("POST", GOOD, b"{", 400),
        ("POST", GOOD, b" " * 5000, 400),
        ("POST", None, b"", 401),
        ("POST", "Bearer ", b"", 401),
        ("POST", f"Basic {SECRET}", b"", 401),
        ("POST", f"Bearer {SECRET}x", b"", 401),
        ("GET", GOOD, b"", 405),
    ],
)
def test_who_may_say_what(method: str, authorization: str | None, body: bytes, status: int) -> None:
    """Only the secret's holder makes a source fetch, and a refusal does nothing."""
    source = Counting()
    hook = RotatedHook({"https://a.example": source}, secret=SECRET)
    found, text = hook.handle(method, authorization, body)
    assert found == status
    assert SECRET.encode() not in text
    assert source.count == (1 if status == 202 else 0)


def test_a_short_secret_is_refused() -> None:
    """A secret that can be guessed is a misconfiguration."""
    with pytest.raises(ConfigurationError):
        RotatedHook({}, secret="short")


def test_a_push_invalidates_at_once() -> None:
    """Within moments of the push the new key verifies and the old one does not."""
    with setup() as at:
        at.ready()
        old = at.token()
        at.issuer.rotate(keep=0)
        hook = RotatedHook({at.issuer.iss: at.source}, secret=SECRET)
        assert hook.handle("POST", GOOD)[0] == 202
        wait_for(lambda: at.code(at.token()) == "ok", 2)
        assert at.code(old) == "unknown_kid"


def test_a_signature_over_the_announcement_is_verified() -> None:
    """A signature by a known key must fit the body; one by a key not known yet makes a fetch all the same."""
    known, other = make_key("ES256", kid="known"), make_key("ES256", kid="known")
    fresh = make_key("ES256", kid="fresh")

    class Source(Counting):
        """A source with one key."""

        def state(self) -> KeyState:
            return KeyState(keys=JWKSet([known.public()]))

        def subscribe(self, changed: object) -> None: ...

        def unknown_kid(self, kid: str) -> None: ...

        def next_answer(self) -> None: ...

    body = b'{"issuer": "https://a.example", "kid": "fresh"}'

    def asked(signature: str | None) -> tuple[int, int]:
        source = Source()
        hook = RotatedHook({"https://a.example": source}, secret=SECRET)
        return hook.handle("POST", GOOD, body, signature=signature)[0], source.count

    def signed(key: JWK, octets: bytes = body) -> str:
        return sign_compact(octets, LocalSigner(key, "ES256"), detached=True)

    assert asked(None) == asked(signed(known)) == asked(signed(fresh)) == (202, 1)
    for wrong in (signed(other), signed(known, body + b" "), "", "a..b", signed(known) + "," + signed(known)):
        assert asked(wrong) == (401, 0)
