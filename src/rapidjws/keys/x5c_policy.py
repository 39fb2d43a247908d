"""What a chain in ``x5c`` must be beyond its signatures: marks, usages, length, and when it must hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for

CHAIN_MAX: Final = 6
"""Most certificates of a chain, the root included."""

_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,32}")
_USAGES: Final = ("digital_signature", "content_commitment")


@checked(but=("time",))
@dataclass(frozen=True, slots=True, kw_only=True)
class X5CPolicy:
    """The demands on a chain; :meth:`named` gives those of known profiles.

    Args:
        leaf_oids: Extensions that the leaf must have, dotted.
        intermediate_oids: Extensions that the certificate above the leaf must have.
        extended_key_usages: Purposes of which the leaf must name one, dotted; empty demands none.
        key_usages: Usages of which the leaf must assert one where it has the extension.
        key_usage_required: Whether a leaf without KeyUsage is refused.
        chain_length: Certificates from leaf to root, or None for any number up to ``max_chain_length``.
        max_chain_length: Most certificates from leaf to root.
        time: ``"now"``: the chain must hold when a token is verified; ``"token"``: when it was signed, by its
            own word (``iat`` or ``sigT`` in the header, ``signedDate`` or ``iat`` in the payload).

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 5280 s.4.2, s.6; RFC 7515 s.4.1.6.
    """

    leaf_oids: Iterable[str] = ()
    intermediate_oids: Iterable[str] = ()
    extended_key_usages: Iterable[str] = ()
    key_usages: Iterable[str] = _USAGES
    key_usage_required: bool = False
    chain_length: int | None = None
    max_chain_length: int = 4
    time: Literal["now", "token"] = "now"

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in ("leaf_oids", "intermediate_oids", "extended_key_usages"):
            value = tuple(getattr(self, name))
            for oid in value:
                if not isinstance(oid, str) or _OID.fullmatch(oid) is None:
                    raise error_for("configuration_invalid", name, "dotted object identifiers", str(oid))
            object.__setattr__(self, name, value)
        usages = tuple(self.key_usages)
        if not usages or not set(usages) <= set(_USAGES):
            raise error_for("configuration_invalid", "key_usages", _USAGES)
        object.__setattr__(self, "key_usages", usages)
        check_range("max_chain_length", self.max_chain_length, 1, CHAIN_MAX)
        if self.chain_length is not None:
            check_range("chain_length", self.chain_length, 1, CHAIN_MAX)
        if self.time not in ("now", "token"):
            raise error_for("configuration_invalid", "time", ("now", "token"), str(self.time))

    @property
    def longest(self) -> int:
        """Return the most certificates from leaf to root."""
        return self.max_chain_length if self.chain_length is None else self.chain_length

    @classmethod
    @checked(but=("time",))
    def named(cls, name: str, *, time: Literal["now", "token"] | None = None) -> X5CPolicy:
        """Return the policy of a known profile.

        Args:
            name: ``"app_store"``: App Store Server Notifications and signed transactions: three certificates
                with Apple's marks, checked at the time of signing. ``"jades"``: ETSI TS 119 182-1: KeyUsage
                must be there, checked at the time of signing. ``"open_finance"``: KeyUsage must be there,
                checked now.
            time: Another time than the profile's.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such profile.
        """
        row = PROFILES.get(name)
        if row is None:
            raise error_for("configuration_invalid", "policy", tuple(PROFILES), name)
        return cls(**{**row, **({} if time is None else {"time": time})})  # type: ignore[arg-type]


PROFILES: Final[dict[str, dict[str, object]]] = {
    "app_store": {
        "leaf_oids": ("1.2.840.113635.100.6.11.1",),
        "intermediate_oids": ("1.2.840.113635.100.6.2.1",),
        "chain_length": 3,
        "time": "token",
    },
    "jades": {"key_usage_required": True, "time": "token"},
    "open_finance": {"key_usage_required": True, "time": "now"},
}
"""Apple's marks: its certificate policy for the App Store; ETSI TS 119 182-1 s.5.1.8."""
