"""Nonces of signed requests: given out by the receiver, signed by the sender, and used once.

The text is authenticated and holds its own time, so that giving it out is remembered nowhere: every worker
and machine with the same secret issues and knows the same ones. Only uses are recorded.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.jose.json_pointer import ABSENT, member_at, parse_pointer
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.sender.dpop_nonce import checked_secrets
from rapidjws.verify.protocols import ReplayStore, take_back

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Names

LIFETIME_S: Final = 300
LIFETIME_MAX_S: Final = 86_400
LEEWAY_MAX_S: Final = 300
PLACES: Final = ("claims", "header", "body")

_TIME_BYTES: Final = 6
_LIFETIME_BYTES: Final = 3
_RANDOM_BYTES: Final = 12
_TAG_BYTES: Final = 18  # 144 bits
_STATED_BYTES: Final = _TIME_BYTES + _LIFETIME_BYTES + _RANDOM_BYTES
_TEXT_CHARS: Final = (_STATED_BYTES + _TAG_BYTES) * 4 // 3  # no bits left over: one spelling only
_PURPOSE: Final = b"rapidjws request nonce\0"


@checked(under="nonces", but=("secrets", "place", "on_failure"))
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNonces:
    """The nonces of signed requests.

    Args:
        secrets: 32 octets or more each. The first makes nonces, all of them check: a new secret is put last,
            then first, then alone, each time on all machines.
        store: Where uses are recorded: one for all workers and machines that share the secrets.
        place: Where a request's nonce stands, always in what was verified: ``"claims"``, the signed payload,
            which is the body where a header signs it; ``"header"``, the protected header; or ``"body"``, the
            body that a digest or ``payload_of`` covers.
        member: The JSON Pointer of the nonce in there.
        lifetime_s: How long a nonce is good, whole seconds, 10 to 86 400.
        leeway_s: Difference of clocks forgiven on both sides, whole seconds, 0 to 300.
        required: Whether a request without one is refused; False refuses wrong ones only.
        on_failure: ``"deny"`` refuses while the store cannot tell; ``"accept"`` lets pass.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 8555 section 6.5.
    """

    secrets: Iterable[bytes] = field(repr=False)
    store: ReplayStore = field(repr=False)
    place: Literal["claims", "header", "body"] = "claims"
    member: str = "/nonce"
    lifetime_s: int = LIFETIME_S
    leeway_s: int = 10
    required: bool = True
    on_failure: Literal["deny", "accept"] = "deny"
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Check every argument once."""
        object.__setattr__(self, "secrets", checked_secrets(self.secrets, "nonces.secrets"))
        object.__setattr__(self, "_names", parse_pointer(self.member, "nonces.member"))
        for name, choices in (("place", PLACES), ("on_failure", ("deny", "accept"))):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise error_for("configuration_invalid", f"nonces.{name}", expected=choices)
        check_range("nonces.lifetime_s", self.lifetime_s, 10, LIFETIME_MAX_S)
        check_range("nonces.leeway_s", self.leeway_s, 0, LEEWAY_MAX_S)

    def find(self, document: Any) -> Any:
        """Return what stands for the nonce in a verified document, or ``ABSENT``."""
        return member_at(document, self._names)

    def issue(self, now_ns: int, partner: Names = None) -> str:
        """Return a new nonce.

        Args:
            now_ns: Nanoseconds since the epoch.
            partner: Whose requests it is for; another partner's with it are refused.
        """
        (secret, *_) = self.secrets
        stated = (now_ns // SECOND_NS).to_bytes(_TIME_BYTES, "big")
        stated += self.lifetime_s.to_bytes(_LIFETIME_BYTES, "big") + os.urandom(_RANDOM_BYTES)
        return urlsafe_b64encode(stated + _tag(secret, stated, partner)).decode("ascii")

    def check(self, found: Any, now_ns: int, partner: Names = None) -> None:
        """Record the use of a nonce, or refuse the request; called when the signature is good.

        Args:
            found: The member's value in what was verified; ``ABSENT`` where it is not there.
            now_ns: Nanoseconds since the epoch.
            partner: Whose request it is.

        Raises:
            RapidJWSError: ``nonce_missing``, ``nonce_unknown``, ``nonce_expired``, ``nonce_used``,
                ``replay_store_unavailable``.
        """
        where = self.place + self.member.replace("/", ".")
        if found is ABSENT:
            if self.required:
                raise error_for("nonce_missing", where, "a nonce that was given out")
            return
        octets = self._known(found, partner)
        if octets is None:
            raise error_for("nonce_unknown", where, "a nonce that was given out to this sender")
        issued_s = int.from_bytes(octets[:_TIME_BYTES], "big")
        end_s = issued_s + int.from_bytes(octets[_TIME_BYTES : _TIME_BYTES + _LIFETIME_BYTES], "big")
        if issued_s * SECOND_NS > now_ns + self.leeway_s * SECOND_NS:
            raise error_for("nonce_unknown", where, "a nonce that was given out before")
        if (end_s + self.leeway_s) * SECOND_NS <= now_ns:
            raise error_for("nonce_expired", where, f"given out at most {self.lifetime_s} seconds ago")
        self._use(octets, where, end_s - now_ns // SECOND_NS)

    def _known(self, found: Any, partner: Names) -> bytes | None:
        """Return the octets of a nonce that was made here for a partner, or None."""
        if not isinstance(found, str) or len(found) != _TEXT_CHARS or not found.isascii():
            return None
        octets = _native.b64url_decode(found.encode("ascii"))
        if octets is None:
            return None
        stated, tag, good = octets[:_STATED_BYTES], octets[_STATED_BYTES:], False
        for secret in self.secrets:
            good |= hmac.compare_digest(_tag(secret, stated, partner), tag)
        return octets if good else None

    def _use(self, octets: bytes, where: str, left_s: int) -> None:
        """Record a use for as long as any worker could take the nonce, whatever its leeway and its clock."""
        key = hashlib.sha256(_PURPOSE + octets).digest()
        try:
            (fresh,) = self.store.record([(key, left_s + 2 * LEEWAY_MAX_S + 1)])
        except Exception:
            fresh = None
        if fresh is False:
            raise error_for("nonce_used", where, "a nonce for each request")
        if fresh is not True and self.on_failure == "deny":
            take_back(self.store, [key])
            raise error_for("replay_store_unavailable", "nonces")


def _tag(secret: bytes, stated: bytes, partner: Names) -> bytes:
    """Return the tag over what a nonce states and whose it is; several names of a partner are none."""
    name = partner if isinstance(partner, str) else ""
    message = _PURPOSE + stated + name.encode("utf-8", "surrogatepass")
    return hmac.new(secret, message, hashlib.sha256).digest()[:_TAG_BYTES]
