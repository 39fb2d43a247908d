"""One issuer: whose tokens, by which keys, and what they must fulfil (RFC 7519 s.4.1, RFC 8725 s.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from rapidjws._checks import check_range, checked
from rapidjws._lazy import lazy_value
from rapidjws.errors import error_for
from rapidjws.jose import limits
from rapidjws.jose.claim_rules import NotChecked, PathRule, Rule, checked_rules
from rapidjws.jose.claims import ClaimsPolicy
from rapidjws.jose.issuer_names import is_template, template_of
from rapidjws.jose.spiffe_id import TRUST_DOMAIN
from rapidjws.jwt.profiles import ProfileName, with_profile
from rapidjws.jwt.replay_rule import Replay
from rapidjws.jwt.tenants import AnyTenant, tenant_rule
from rapidjws.verify.arguments import checked_algorithms, checked_crit, names_of
from rapidjws.verify.given_keys import Keys, checked_keys
from rapidjws.verify.key_selection import SPIFFE
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


CNF_CHOICES: Final = ("unchecked", "checked", "required")

SVID_ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
"""SPIFFE JWT-SVID s.2.1."""


@checked(
    but=("iss", "keys", "algorithms", "audience", "required_claims", "typ", "crit", "claims", "show_claims",
         "tenants")
)  # fmt: skip
@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer, as an :class:`Engine` knows it.

    Args:
        iss: The exact ``iss`` of its tokens; several names, the first of which is its name here; a template,
            as ``https://login.microsoftonline.com/{tid}/v2.0``, with ``tenants`` beside it; None does not
            compare it, and stands for the only issuer of its engine, whose keys alone say whose they are.
        keys: Its public keys, or HMAC secrets: a JWKSet, a JWK, several JWK, what holds one of these (a
            dict, JSON text, PEM text, a path, read once), or a source that brings them as they change.
        algorithms: The ``alg`` values it may use; required, nothing is allowed by default.
        audience: The names by which ``aud`` may mean this service; empty refuses tokens with an ``aud``;
            ``NOT_CHECKED`` does not compare it.
        leeway_s: Clock difference forgiven, whole seconds, 0 to 86 400.
        required_claims: Names of claims that must be there and not null; their values are not compared.
        typ: The ``typ`` its tokens must have (``"at+jwt"``), one of several, or None for any.
        typ_required: False lets a header without ``typ`` pass beside those of ``typ``.
        claims: What further claims must be: claim, or JSON Pointer (RFC 6901) for a nested one -> a value; a
            set or list of values, one of which it must be; :class:`Contains`, :class:`ContainsAny`,
            :class:`ContainsOnly`, :class:`Prefix`, :class:`Pattern`, ``PRESENT`` or ``ABSENT``; or a
            function, which gets the value and returns True. Functions are asked last, and whatever they raise
            refuses the token.
            ``NOT_CHECKED`` takes a profile's rule away.
        show_claims: Claims of ``claims`` whose values may stand in the error of a refusal.
        tenants: Which values a template's variable may have: names, ``ANY_TENANT``, or a function as in
            ``claims``.
        max_auth_age_s: Longest time since the user signed in (``auth_time``), whole seconds, or None.
        max_age_s: Oldest ``iat`` accepted, whole seconds, or None.
        exp_required: Whether a token without ``exp`` is refused.
        require_kid: Whether a token without ``kid`` is refused.
        try_keys: How many keys are tried for a token that names none, 1 to 4; such tokens take the long way
            each time. 0, the default, refuses them where several keys fit.
        replay: Ask for each token to be used once; None, the default, does not.
        required: Whether the engine is ready only once this issuer has keys.
        crit: The critical header extensions that the caller understands and heeds.
        trust_domain: The SPIFFE trust domain that ``sub`` must lie in, in the place of ``iss``: see
            :meth:`spiffe`. None for other tokens.
        cnf: Whether its tokens are bound to senders (RFC 7800): ``"checked"`` refuses one with a ``cnf`` that
            nobody compares with its sender, ``"required"`` one without ``cnf`` too. ``"unchecked"``, the
            default, leaves the claim to the application, unless :class:`rapidjws.sender.SenderConstraints`
            compare it.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the argument.
    """

    iss: str | Iterable[str] | None
    keys: Keys | KeySource = field(repr=False, kw_only=True)
    algorithms: Iterable[str] = field(kw_only=True)
    audience: str | Iterable[str] | NotChecked = field(default=(), kw_only=True)
    leeway_s: int = field(default=limits.LEEWAY_DEFAULT_S, kw_only=True)
    required_claims: Iterable[str] = field(default=(), kw_only=True)
    typ: str | Iterable[str] | None = field(default=None, kw_only=True)
    typ_required: bool = field(default=True, kw_only=True)
    claims: Mapping[str, Rule] = field(default_factory=dict, kw_only=True, hash=False)
    show_claims: Iterable[str] = field(default=(), kw_only=True)
    tenants: Iterable[str] | AnyTenant | Callable[[Any], Any] | None = field(default=None, kw_only=True)
    max_auth_age_s: int | None = field(default=None, kw_only=True)
    max_age_s: int | None = field(default=None, kw_only=True)
    exp_required: bool = field(default=True, kw_only=True)
    require_kid: bool = field(default=False, kw_only=True)
    try_keys: int = field(default=0, kw_only=True)
    replay: Replay | None = field(default=None, kw_only=True)
    required: bool = field(default=True, kw_only=True)
    crit: Iterable[str] = field(default=(), kw_only=True)
    trust_domain: str | None = field(default=None, kw_only=True)
    cnf: Literal["unchecked", "checked", "required"] = field(default="unchecked", kw_only=True)
    _names: tuple[str, ...] = field(init=False, repr=False, default=())
    _rules: tuple[PathRule, ...] = field(init=False, repr=False, default=(), compare=False)

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

    @classmethod
    def spiffe(cls, trust_domain: str, **settings: Any) -> Issuer:
        """Return an issuer of JWT-SVIDs: ``sub`` says whose they are, and ``iss`` is not compared.

        Args:
            trust_domain: As in ``spiffe://TRUST-DOMAIN/path``.
            settings: Arguments of :class:`Issuer`; ``keys`` is a :class:`~rapidjws.keys.SpiffeBundle`, or the
                keys of one. ``algorithms`` are those of JWT-SVIDs unless named.

        Raises:
            ConfigurationError: ``configuration_invalid``: among others, no ``audience``.

        Source: SPIFFE JWT-SVID s.2, s.3.
        """
        if not isinstance(trust_domain, str):  # None would mean any token of these keys
            raise error_for("configuration_invalid", "trust_domain", "text", type(trust_domain).__name__)
        if not settings.get("audience"):  # s.3.2: aud must be there, and name us
            raise error_for(
                "configuration_invalid", "audience", expected="the names by which aud may mean us"
            )
        return cls(None, trust_domain=trust_domain, **{"algorithms": SVID_ALGORITHMS, **settings})

    def __post_init__(self) -> None:
        """Check every argument once."""
        if self.trust_domain is not None and (
            self.iss is not None or TRUST_DOMAIN.fullmatch(self.trust_domain) is None
        ):
            expected = "a SPIFFE trust domain in lower case, and no iss beside it"
            raise error_for("configuration_invalid", "trust_domain", expected, self.trust_domain)
        put = object.__setattr__
        self._check_iss()
        if self.typ is not None:
            types = names_of(self.typ, "typ")
            if not types:
                raise error_for("configuration_invalid", "typ", expected="a media type or None")
            put(self, "typ", types[0] if len(types) == 1 else types)
        elif not self.typ_required:
            raise error_for("configuration_invalid", "typ_required", expected="typ beside it")
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
        if self.cnf not in CNF_CHOICES:
            raise error_for("configuration_invalid", "cnf", expected=CNF_CHOICES)
        check_range("try_keys", self.try_keys, 0, TRY_KEYS_MAX)
        if self.try_keys and self.require_kid:
            raise error_for("configuration_invalid", "try_keys", expected="no require_kid beside it")
        _check_seconds("leeway_s", self.leeway_s, limits.LEEWAY_MAX_S)
        if self.max_age_s is not None:
            _check_seconds("max_age_s", self.max_age_s, 10**10)
        if self.max_auth_age_s is not None:
            _check_seconds("max_auth_age_s", self.max_auth_age_s, 10**10)
        self._check_claims()

    def _check_iss(self) -> None:
        """Check the names; the first of several becomes ``iss``."""
        names = () if self.iss is None else names_of(self.iss, "iss")
        if self.iss is not None and not names:
            raise error_for("configuration_invalid", "iss", expected="a non-empty string or None")
        if len(set(names)) != len(names):
            raise error_for("configuration_invalid", "iss", expected="each name once")
        for name in names:
            if is_template(name):
                template_of(name)
                if len(names) > 1:
                    raise error_for("configuration_invalid", "iss", expected="a template alone")
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "iss", names[0] if names else None)

    def _check_claims(self) -> None:
        """Check the rules of further claims."""
        put = object.__setattr__
        rules = checked_rules(self.claims)
        put(self, "claims", MappingProxyType(dict(self.claims)))
        put(self, "show_claims", names_of(self.show_claims, "show_claims"))
        template = template_of(self.name) if is_template(self.name) else None
        if isinstance(self.tenants, Iterable):
            put(self, "tenants", names_of(self.tenants, "tenants"))
        put(self, "_rules", (*tenant_rule(template, self.tenants), *rules))

    @classmethod
    @checked(but=("iss",))
    def profile(cls, profile: ProfileName, iss: str | Iterable[str] | None, **settings: Any) -> Issuer:
        """Return an issuer whose tokens must be of one kind, so that no other kind passes as it.

        ============================ =====================================================================
        ``"access_token"``           RFC 9068: ``typ`` ``at+jwt``; ``iss``, ``exp``, ``aud``, ``sub``,
                                     ``client_id``, ``iat`` and ``jti``; nothing of an ID token or an event
        ``"id_token"``               OpenID Connect Core s.2: ``typ`` ``JWT`` or none; ``iss``, ``sub``,
                                     ``aud``, ``exp``, ``iat``; no ``events``, ``client_id``, ``scope``,
                                     ``status_list``; ``azp`` where ``aud`` has several values;
                                     where it is there, one of ``audience``; no other values in ``aud``
        ``"logout_token"``           OpenID Connect Back-Channel Logout s.2.4: ``typ`` ``logout+jwt``,
                                     ``JWT`` or none; ``iss``, ``aud``, ``iat``, ``jti`` and ``exp``;
                                     ``sub`` or ``sid``; its event; no ``nonce``
        ``"security_event"``         RFC 8417: ``typ`` ``secevent+jwt``; ``iss``, ``iat`` and ``jti``; an
                                     event, but none of a logout token
        ``"introspection_response"`` RFC 9701: ``typ`` ``token-introspection+jwt``; ``iss``, ``aud``,
                                     ``iat`` and the object ``token_introspection``
        ``"status_list"``            draft-ietf-oauth-status-list: ``typ`` ``statuslist+jwt``; ``sub``,
                                     ``iat`` and the object ``status_list``
        ============================ =====================================================================

        Args:
            profile: The kind.
            iss: As for :class:`Issuer`.
            settings: Further arguments of :class:`Issuer`; ``required_claims`` and ``claims`` add to the
                profile's, ``typ``, ``typ_required`` and ``exp_required`` take the place of its own, and so
                does a rule for the same claim: ``claims={"azp": {"web", "app"}}`` names the clients where
                they are no audiences.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such profile, no audience where it needs one, or
                as :class:`Issuer`.
        """
        return cls(iss, **with_profile(profile, settings))

    @property
    def name(self) -> str:
        """Return the name under which an engine holds the issuer: its first ``iss``, or "" for none."""
        if self.trust_domain is not None:
            return f"{SPIFFE}{self.trust_domain}"
        return self._names[0] if self._names else ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name that ``iss`` may be, in the order given; none where it is not compared."""
        return self._names

    def rules(self) -> Rules:
        """Return the issuer's rules in the engine's form."""
        policy = ClaimsPolicy(
            issuer=self._names[0] if self._names else None,
            other_issuers=self._names[1:],
            audiences=() if isinstance(self.audience, NotChecked) else tuple(self.audience),
            audience_checked=not isinstance(self.audience, NotChecked),
            leeway_s=self.leeway_s,
            exp_required=self.exp_required,
            max_age_s=self.max_age_s,
            required=tuple(self.required_claims) + (() if self.trust_domain is None else ("sub",)),
            rules=self._rules,
            max_auth_age_s=self.max_auth_age_s,
            shown_claims=frozenset(self.show_claims),
        )
        return Rules(
            iss=self.name,
            policy=policy,
            typ=() if self.typ is None else names_of(self.typ, "typ"),
            typ_required=self.typ_required,
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
    taken: set[str] = set()
    for issuer in issuers:
        if not isinstance(issuer, Issuer):
            raise error_for("configuration_invalid", "issuers", "an Issuer each", type(issuer).__name__)
        if issuer.name == "" and len(issuers) > 1:  # whose token is it? only iss could say
            raise error_for(
                "configuration_invalid", "issuers", "one issuer, as its iss is None", len(issuers)
            )
        for name in issuer.names or (issuer.name,):
            shape = re.sub(r"\{[^}]*\}", "{}", name)  # the same text with another variable is the same iss
            if shape in taken:
                raise error_for("configuration_invalid", "issuers", expected="each iss once", actual=name)
            taken.add(shape)
        named[issuer.name] = issuer
    return named
