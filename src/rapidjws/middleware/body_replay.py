"""Bodies that are used once, by an identifier that was signed or by the digest of what was signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.json_pointer import ABSENT, member_at, parse_pointer
from rapidjws.verify.protocols import ReplayStore, take_back

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS

KEEP_S: Final = 86_400
KEEP_MAX_S: Final = 400 * 86_400
ID_MAX_BYTES: Final = 4096


@checked(under="replay", but=("on_failure",))
@dataclass(frozen=True, slots=True, kw_only=True)
class BodyReplay:
    """The demand that each signed body is used once.

    Args:
        store: Where uses are recorded.
        identity: The JSON Pointer of an identifier in the verified payload, ``"/jti"``; None for the digest
            of the signing input: the protected header and the payload, without the signature.
        keep_s: For how many seconds a use is remembered: longer than the sender's messages are good.
        on_failure: ``"deny"`` refuses while the store cannot tell; ``"accept"`` lets pass.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    store: ReplayStore
    identity: str | None = "/jti"
    keep_s: int = KEEP_S
    on_failure: Literal["deny", "accept"] = "deny"

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.identity is not None:
            parse_pointer(self.identity, "replay.identity")
        if not 1 <= self.keep_s <= KEEP_MAX_S:
            raise error_for("configuration_invalid", "replay.keep_s", expected=f"1 to {KEEP_MAX_S}")
        if self.on_failure not in ("deny", "accept"):
            raise error_for("configuration_invalid", "replay.on_failure", expected=("deny", "accept"))

    def check(self, verified: VerifiedJWS, claims: Any, signed: bytes) -> None:
        """Record a use, or refuse the second one; called when all else is good.

        Args:
            verified: The JWS.
            claims: Its payload as JSON, where ``identity`` is a pointer.
            signed: The protected header's octets and the payload's.

        Raises:
            RapidJWSError: ``replayed``, ``replay_store_unavailable``; ``missing_claim``, ``malformed_claim``
                or ``too_large`` for the identifier.
        """
        total = hashlib.sha256()
        for part in (verified.issuer or verified.signatures[0].issuer or "", verified.key_thumbprint):
            piece = part.encode("utf-8", "surrogatepass")
            total.update(len(piece).to_bytes(4, "big") + piece)
        total.update(self._identity(claims, signed))
        key = total.digest()
        try:
            (fresh,) = self.store.record([(key, self.keep_s)])
        except Exception:
            fresh = None
        if fresh is False:
            raise error_for("replayed", "body")
        if fresh is not True and self.on_failure == "deny":
            take_back(self.store, [key])
            raise error_for("replay_store_unavailable", "replay")

    def _identity(self, claims: Any, signed: bytes) -> bytes:
        if self.identity is None:
            return b"digest\0" + signed
        place = "claims" + self.identity.replace("/", ".")
        found = member_at(claims, parse_pointer(self.identity, "replay.identity"))
        if found is ABSENT:
            raise error_for("missing_claim", place, "an identifier, as bodies are used once")
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        if not isinstance(found, str):
            raise error_for("malformed_claim", place, "a string or a whole number", type(found).__name__)
        octets = found.encode("utf-8", "surrogatepass")
        if not 0 < len(octets) <= ID_MAX_BYTES:
            raise error_for("too_large", place, f"1 to {ID_MAX_BYTES} bytes", len(octets))
        return b"id\0" + octets
