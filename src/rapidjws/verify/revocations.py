"""Revocations: what is refused although its signature verifies, and how they are looked up.

Keys are revoked by leaving them out of the table; tokens by a check after everything else. What this never
does: persist or send anything (see ``rapidjws.keys``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S
from rapidjws.jose.numeric_date import SECOND_NS, numeric_dates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rapidjws.verify.key_table import PreparedKey

MAX_NAME_CHARS = 1024


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What is revoked: a key, a token, a subject, a session, tokens issued before a moment, or an issuer.

    Args:
        issuer: The ``iss`` it is about; alone it revokes the whole issuer.
        kid: The key of this name.
        thumbprint: The key with this RFC 7638 SHA-256 thumbprint, whatever its kid.
        jti: The token of this ``jti``.
        issued_before: Tokens whose ``iat`` lies before, seconds since the epoch; those without ``iat`` too.
            Beside ``sub`` only tokens of that subject.
        sub: Tokens of this subject of ``issuer``.
        sid: Tokens of this session of ``issuer`` (OpenID Connect Back-Channel Logout s.2.1).

    Raises:
        ConfigurationError: ``configuration_invalid``: nothing named, two things beside ``issuer`` that do not
            go together, or a subject or session without its issuer.
    """

    issuer: str | None = None
    kid: str | None = None
    thumbprint: str | None = None
    jti: str | None = None
    issued_before: int | None = None
    sub: str | None = None
    sid: str | None = None

    def __post_init__(self) -> None:
        """Check every argument once."""
        for place in ("issuer", "kid", "thumbprint", "jti", "sub", "sid"):
            value = getattr(self, place)
            if value is not None and not (isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS):
                raise error_for("configuration_invalid", place, expected="a non-empty string")
        when = self.issued_before
        if when is not None and (
            not isinstance(when, int) or isinstance(when, bool) or not 0 <= when <= NUMERIC_DATE_MAX_S
        ):
            raise error_for(
                "configuration_invalid", "issued_before", expected="whole seconds since the epoch"
            )
        alone = when if self.sub is None else None
        names = (self.kid, self.thumbprint, self.jti, self.sub, self.sid, alone)
        named = [name for name in names if name is not None]
        if len(named) > 1 or not (named or self.issuer):
            raise error_for(
                "configuration_invalid",
                "revocation",
                expected="one of kid, thumbprint, jti, sub, sid, issued_before; or issuer alone",
                actual=len(named),
            )
        if self.issuer is None and (self.sub is not None or self.sid is not None):
            expected = "the issuer of the subject or session"  # OpenID Connect Core s.2: unique within it
            raise error_for("configuration_invalid", "issuer", expected=expected)

    def as_dict(self) -> dict[str, Any]:
        """Return the members that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def is_about_tokens(self) -> bool:
        """Return whether it is checked on each token rather than on keys."""
        named = (self.jti, self.issued_before, self.sub, self.sid)
        return any(one is not None for one in named)


class Revocations:
    """Revocations, looked up in constant time; never changes.

    Args:
        listed: All that hold.
    """

    __slots__ = (
        "_cutoffs",
        "_issuers",
        "_jtis",
        "_kids",
        "_sids",
        "_subjects",
        "_thumbprints",
        "issuers_named",
        "listed",
        "on_tokens",
    )

    def __init__(self, listed: Iterable[Revocation] = ()) -> None:
        self.listed = tuple(dict.fromkeys(listed))
        self.issuers_named = frozenset(one.issuer for one in self.listed if one.issuer is not None)
        self._issuers = {one.issuer for one in self.listed if len(one.as_dict()) == 1 and one.issuer}
        self._kids = {(one.issuer, one.kid) for one in self.listed if one.kid is not None}
        self._thumbprints = {(one.issuer, one.thumbprint) for one in self.listed if one.thumbprint}
        self._jtis = {(one.issuer, one.jti) for one in self.listed if one.jti is not None}
        self._cutoffs: dict[str | None, int] = {}
        for one in self.listed:
            if one.issued_before is not None and one.sub is None:
                now = self._cutoffs.get(one.issuer, 0)
                self._cutoffs[one.issuer] = max(now, one.issued_before)
        self._sids = {(one.issuer, one.sid) for one in self.listed if one.sid is not None}
        self._subjects: dict[tuple[str | None, str], int | None] = {}  # None: whenever issued
        for one in self.listed:
            if one.sub is not None:
                key, before = (one.issuer, one.sub), one.issued_before
                known = self._subjects.get(key, 0)
                self._subjects[key] = None if known is None or before is None else max(known, before)
        self.on_tokens = any(one.is_about_tokens for one in self.listed)

    def names_kid(self, iss: str | None, kid: str | None) -> bool:
        """Return whether the issuer, or a key of this name, is revoked, seen or not."""
        return iss in self._issuers or (iss, kid) in self._kids or (None, kid) in self._kids

    def hits_key(self, iss: str | None, key: PreparedKey) -> bool:
        """Return whether a key is revoked by issuer, kid or thumbprint."""
        if self.names_kid(iss, key.jwk.kid):
            return True
        if not self._thumbprints:
            return False
        return (iss, key.thumbprint) in self._thumbprints or (None, key.thumbprint) in self._thumbprints

    def hits_stated(
        self,
        iss: str,
        key: PreparedKey,
        claims: Mapping[str, Any],
        claims_json: Callable[[], bytes] | None = None,
    ) -> bool:
        """Return whether a token, its key or its issuer is revoked under the ``iss`` that it states.

        Args:
            iss: Another name than its issuer's first one, or a tenant's under a template.
            key: Whose signature it is.
            claims: As for ``hits_token``.
            claims_json: As for ``hits_token``.
        """
        return self.hits_key(iss, key) or self.hits_token(iss, claims, claims_json)

    @property
    def on_keys(self) -> bool:
        """Return whether any of them is about keys."""
        return bool(self._issuers or self._kids or self._thumbprints)

    def hits_token(
        self, iss: str | None, claims: Mapping[str, Any], claims_json: Callable[[], bytes] | None = None
    ) -> bool:
        """Return whether a verified token is revoked by its ``jti``, ``sid``, ``sub`` or ``iat``.

        Args:
            iss: The verified issuer.
            claims: The verified claims.
            claims_json: Gives their text, where an ``iat`` with a fraction lies too near to tell by a double.
        """
        if self._jtis:
            jti = claims.get("jti")
            if isinstance(jti, str) and ((iss, jti) in self._jtis or (None, jti) in self._jtis):
                return True
        cutoff = max(self._cutoffs.get(iss, 0), self._cutoffs.get(None, 0))
        if self._sids:
            sid = claims.get("sid")
            if isinstance(sid, str) and (iss, sid) in self._sids:
                return True
        if self._subjects:
            sub = claims.get("sub")
            before = self._subjects.get((iss, sub), 0) if isinstance(sub, str) else 0
            if before is None:
                return True
            cutoff = max(cutoff, before)
        if not cutoff:
            return False
        iat = claims.get("iat")
        if not isinstance(iat, (int, float)) or isinstance(iat, bool):
            return True
        if iat == cutoff and isinstance(iat, float) and claims_json is not None:
            date = numeric_dates({"iat": iat}, claims_json)["iat"]
            return date is None or date.floor_ns < cutoff * SECOND_NS
        return iat < cutoff
