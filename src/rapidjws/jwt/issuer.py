"""One issuer: whose tokens, by which keys, and what they must fulfil (RFC 7519 s.4.1, RFC 8725 s.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws._lazy import lazy_value
from rapidjws.errors import error_for
from rapidjws.jose import limits
from rapidjws.jose.claims import ClaimsPolicy
from rapidjws.jwt.post_checks import Replay
from rapidjws.verify.arguments import checked_algorithms, checked_crit, names_of
from rapidjws.verify.given_keys import Keys, checked_keys
from rapidjws.verify.protocols import KeySource
from rapidjws.verify.rules import Rules

DISCOVERED_ALGORITHMS: Final = ("RS256",)
"""OpenID Connect Registration 1.0 s.2: the default of ``id_token_signed_response_alg``."""

SOURCE_SETTINGS: Final = (
    "jwks_origins",
    "transport",
    "freshness",
    "unknown_kids",
    "last_good",
    "last_good_max_age_s",
    "events",
    "clock",
    "fetch",
)
"""What ``discover`` hands on to the key source."""


TRY_KEYS_MAX: Final = 4
"""Most keys that one token may cost the arithmetic of."""


class NotChecked(Enum):
    """The written choice not to check something that is checked by default."""

    NOT_CHECKED = "not checked"

    def __repr__(self) -> str:
        return "NOT_CHECKED"


NOT_CHECKED: Final = NotChecked.NOT_CHECKED
"""For ``Issuer(audience=NOT_CHECKED)``: ``aud`` may name anybody, for issuers that serve nobody else."""


@checked(but=("keys", "algorithms", "audience", "required_claims", "crit"))
@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer, as an :class:`Engine` knows it.

    Args:
        iss: The exact ``iss`` of its tokens; None does not compare it, and stands for the only issuer of its
            engine: its keys alone say whose tokens they are.
        keys: Its public keys, or HMAC secrets: a JWKSet, a JWK, several JWK, what holds one of these (a
            dict, JSON text, PEM text, a path, read once), or a source that brings them as they change.
        algorithms: The ``alg`` values it may use; required, nothing is allowed by default.
        audience: The names by which ``aud`` may mean this service; empty refuses tokens with an ``aud``;
            ``NOT_CHECKED`` does not compare it.
        leeway_s: Clock difference forgiven, whole seconds, 0 to 86 400.
        required_claims: Names of claims that must be there and not null; their values are not compared.
        typ: The one ``typ`` its tokens must have (``"at+jwt"``), or None.
        max_age_s: Oldest ``iat`` accepted, whole seconds, or None.
        exp_required: Whether a token without ``exp`` is refused.
        require_kid: Whether a token without ``kid`` is refused.
        try_keys: How many keys are tried for a token that names none, 1 to 4; such tokens take the long way
            each time. 0, the default, refuses them where several keys fit.
        replay: Ask for each token to be used once; None, the default, does not.
        required: Whether the engine is ready only once this issuer has keys.
        crit: The critical header extensions that the caller understands and heeds.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the argument.
    """

    iss: str | None
    keys: Keys | KeySource = field(repr=False, kw_only=True)
    algorithms: Iterable[str] = field(kw_only=True)
    audience: str | Iterable[str] | NotChecked = field(default=(), kw_only=True)
    leeway_s: int = field(default=limits.LEEWAY_DEFAULT_S, kw_only=True)
    required_claims: Iterable[str] = field(default=(), kw_only=True)
    typ: str | None = field(default=None, kw_only=True)
    max_age_s: int | None = field(default=None, kw_only=True)
    exp_required: bool = field(default=True, kw_only=True)
    require_kid: bool = field(default=False, kw_only=True)
    try_keys: int = field(default=0, kw_only=True)
    replay: Replay | None = field(default=None, kw_only=True)
    required: bool = field(default=True, kw_only=True)
    crit: Iterable[str] = field(default=(), kw_only=True)

    @classmethod
    def discover(
        cls, issuer: str, *, algorithms: Iterable[str] = DISCOVERED_ALGORITHMS, **settings: Any
    ) -> Issuer:
        """Return an issuer whose keys are found by discovery; nothing is fetched here.

        Args:
            issuer: Its https URL, exactly as in ``iss`` and in its metadata.
            algorithms: The ``alg`` values it may use. RS256 by default, which every OpenID Provider supports
                and uses unless a client asks for another; metadata never choose.
            settings: Arguments of :class:`Issuer`, and of :class:`~rapidjws.keys.DiscoveredJWKS`:
                ``jwks_origins``, ``transport``, ``freshness``, ``unknown_kids``, ``last_good``,
                ``last_good_max_age_s``, ``events``, ``clock``, ``fetch``.

        Raises:
            ConfigurationError: ``configuration_invalid``.

        Source: OpenID Connect Discovery 1.0 s.4, RFC 8414 s.3; OpenID Connect Registration 1.0 s.2.
        """
        of_source = {name: settings.pop(name) for name in SOURCE_SETTINGS if name in settings}
        source = lazy_value("rapidjws.keys", "DiscoveredJWKS")(issuer, **of_source)
        return cls(issuer, keys=source, algorithms=algorithms, **settings)

    def __post_init__(self) -> None:
        """Check every argument once."""
        if self.iss == "":
            raise error_for("configuration_invalid", "iss", expected="a non-empty string or None")
        if self.typ == "":
            raise error_for("configuration_invalid", "typ", expected="a media type or None")
        put = object.__setattr__
        put(self, "algorithms", checked_algorithms(self.algorithms))
        if not isinstance(self.audience, NotChecked):
            put(self, "audience", names_of(self.audience, "audience"))
        put(self, "required_claims", names_of(self.required_claims, "required_claims"))
        put(self, "crit", tuple(sorted(checked_crit(self.crit))))
        if "b64" in self.crit:  # RFC 7797 s.7: not in a JWT
            raise error_for("configuration_invalid", "crit", expected="no b64: these are JWTs")
        if not isinstance(self.keys, KeySource):
            put(self, "keys", checked_keys(self.keys))
        if self.replay is not None and not (self.exp_required or self.max_age_s is not None):
            raise error_for("configuration_invalid", "replay", expected="exp_required or max_age_s beside it")
        check_range("try_keys", self.try_keys, 0, TRY_KEYS_MAX)
        if self.try_keys and self.require_kid:
            raise error_for("configuration_invalid", "try_keys", expected="no require_kid beside it")
        _check_seconds("leeway_s", self.leeway_s, limits.LEEWAY_MAX_S)
        if self.max_age_s is not None:
            _check_seconds("max_age_s", self.max_age_s, 10**10)

    @property
    def name(self) -> str:
        """Return the name under which an engine holds the issuer: its ``iss``, or "" where that is None."""
        return self.iss or ""

    def rules(self) -> Rules:
        """Return the issuer's rules in the engine's form."""
        policy = ClaimsPolicy(
            issuer=self.iss,
            audiences=() if isinstance(self.audience, NotChecked) else tuple(self.audience),
            audience_checked=not isinstance(self.audience, NotChecked),
            leeway_s=self.leeway_s,
            exp_required=self.exp_required,
            max_age_s=self.max_age_s,
            required=tuple(self.required_claims),
        )
        return Rules(
            iss=self.name,
            policy=policy,
            typ=self.typ,
            require_kid=self.require_kid,
            try_keys=self.try_keys,
            crit=frozenset(self.crit),
        )


def _check_seconds(place: str, value: object, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise error_for(
            "configuration_invalid", place, expected=f"whole seconds from 0 to {most}", actual=repr(value)
        )


def by_iss(issuers: Sequence[Issuer]) -> dict[str, Issuer]:
    """Return the issuers by name.

    Raises:
        ConfigurationError: ``configuration_invalid``: none, one twice, or one without ``iss`` among others.
    """
    if not issuers:
        raise error_for("configuration_invalid", "issuers", expected="at least one issuer", actual="none")
    named: dict[str, Issuer] = {}
    for issuer in issuers:
        if not isinstance(issuer, Issuer):
            raise error_for("configuration_invalid", "issuers", "an Issuer each", type(issuer).__name__)
        if issuer.iss is None and len(issuers) > 1:  # whose token is it? only iss could say
            raise error_for(
                "configuration_invalid", "issuers", "one issuer, as its iss is None", len(issuers)
            )
        if issuer.name in named:
            raise error_for("configuration_invalid", "issuers", expected="each iss once", actual=issuer.iss)
        named[issuer.name] = issuer
    return named
