"""Clients of a token service: how each is authenticated, and which tokens it may get."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.scopes import is_scope_token
from rapidjws.verify.given_keys import checked_keys

if TYPE_CHECKING:
    from rapidjws.jose.jwks import JWKSet
    from rapidjws.verify.given_keys import Keys

Authentication = Literal["private_key_jwt", "tls_client_auth", "client_secret_basic"]
AUTHENTICATIONS: Final = ("private_key_jwt", "tls_client_auth", "client_secret_basic")
CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANTS: Final = (CLIENT_CREDENTIALS, TOKEN_EXCHANGE)
SECRET_MIN_CHARS: Final = 32
THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[!#-\[\]-z|~]{1,256}")
"""RFC 6749 appendix A.1, without spaces, quotes, backslashes and the braces of templates."""


def _refuse(name: str, words: object, found: str | None = None) -> None:
    raise error_for("configuration_invalid", f"clients.{name}", words, found)  # type: ignore[arg-type]


@checked(under="clients", but=("keys",))
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClient:
    """One client.

    Attributes:
        client_id: Its name.
        audiences: For whom it may get tokens; the exact values of ``aud``. None for a client without grants.
        scopes: Most that its tokens may hold.
        authentication: ``"private_key_jwt"`` (RFC 7523), ``"tls_client_auth"`` (RFC 8705), or
            ``"client_secret_basic"``, which is for tests.
        keys: Its public keys, for ``private_key_jwt``: what ``Issuer`` takes as keys.
        algorithms: The ``alg`` values of its assertions.
        certificates: SHA-256 thumbprints of its certificates in base64url, for ``tls_client_auth``.
        uris: URIs that its certificate names, SPIFFE IDs for instance, for ``tls_client_auth``; the gateway
            must verify the chain.
        secret: For ``client_secret_basic``, 32 characters or more.
        grants: Of ``client_credentials`` and ``urn:ietf:params:oauth:grant-type:token-exchange``; none for a
            client of a :class:`SigningService` that may get no tokens.
        subject_issuers: Whose tokens it may exchange; exact ``iss`` values.
        subject_audiences: Names of its own: it may exchange tokens whose ``aud`` holds one, its ``client_id``
            or the issuer.
        exchange_scopes: Scopes that an exchange may give though the subject token lacks them.
        may_impersonate: Whether it may get tokens without ``act``, in which only the subject stands.
        lifetime_s: Longest life of its tokens in seconds; None for that of the issuer.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the setting.
    """

    client_id: str
    audiences: Iterable[str] = ()
    scopes: Iterable[str] = ()
    authentication: Authentication = "private_key_jwt"
    keys: Keys | None = field(default=None, repr=False)
    algorithms: Iterable[str] = ("ES256",)
    certificates: Iterable[str] = ()
    uris: Iterable[str] = ()
    secret: str | None = field(default=None, repr=False)
    grants: Iterable[str] = (CLIENT_CREDENTIALS,)
    subject_issuers: Iterable[str] = ()
    subject_audiences: Iterable[str] = ()
    exchange_scopes: Iterable[str] = ()
    may_impersonate: bool = False
    lifetime_s: int | None = None
    key_set: JWKSet | None = field(init=False, repr=False, default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("audiences", "scopes", "algorithms", "certificates", "uris", "grants", "subject_issuers",
                     "subject_audiences", "exchange_scopes"):  # fmt: skip
            given = getattr(self, name)
            values = (given,) if isinstance(given, str) else tuple(given)
            if len(set(values)) != len(values) or not all(values):
                _refuse(name, "names, each once")
            object.__setattr__(self, name, values)
        if not _NAME.fullmatch(self.client_id):
            _refuse("client_id", "1 to 256 visible ASCII characters without quotes and braces")
        if not self.audiences and self.grants:
            _refuse("audiences", "at least one")
        for name in ("audiences", "scopes", "lifetime_s"):
            if getattr(self, name) and not self.grants:
                _refuse(name, "nothing without a grant")
        for name in ("scopes", "exchange_scopes"):
            if not all(is_scope_token(one) for one in getattr(self, name)):
                _refuse(name, "scope-tokens (RFC 6749 s.3.3)")
        if not set(self.exchange_scopes) <= set(self.scopes):
            _refuse("exchange_scopes", "some of its scopes")
        if not set(self.grants) <= set(GRANTS):
            _refuse("grants", GRANTS)
        if self.lifetime_s is not None:
            check_range("clients.lifetime_s", self.lifetime_s, 1, 86400)
        self._check_exchange()
        self._check_authentication()

    def _check_exchange(self) -> None:
        is_exchange = TOKEN_EXCHANGE in self.grants
        if is_exchange and not self.subject_issuers:
            _refuse("subject_issuers", "whose tokens it may exchange")
        for name in ("subject_issuers", "subject_audiences", "exchange_scopes", "may_impersonate"):
            if getattr(self, name) and not is_exchange:
                _refuse(name, f"nothing without the grant {TOKEN_EXCHANGE}")

    def _check_authentication(self) -> None:
        needs = {
            "private_key_jwt": ("keys",),
            "tls_client_auth": ("certificates", "uris"),
            "client_secret_basic": ("secret",),
        }
        if self.authentication not in needs:
            _refuse("authentication", AUTHENTICATIONS, str(self.authentication))
        for kind, names in needs.items():
            given = [name for name in names if getattr(self, name)]
            if kind != self.authentication and given:
                _refuse(given[0], f"nothing beside {self.authentication}")
            if kind == self.authentication and not given:
                _refuse(names[0], f"a value, for {kind}")
        if self.keys is not None:
            self._check_keys(self.keys)
        if not all(THUMBPRINT.fullmatch(one) for one in self.certificates):
            _refuse("certificates", "SHA-256 thumbprints in base64url, 43 characters")
        if not all(urlsplit(one).scheme and one.isascii() and one.isprintable() for one in self.uris):
            _refuse("uris", "absolute URIs")
        if self.secret is not None and (len(self.secret) < SECRET_MIN_CHARS or not self.secret.isascii()):
            _refuse("secret", f"{SECRET_MIN_CHARS} ASCII characters or more")

    def _check_keys(self, keys: Keys) -> None:
        found = checked_keys(keys, "clients.keys")
        object.__setattr__(self, "key_set", found)
        if any(one.is_private for one in found.keys):  # who holds it could be the client
            raise error_for("key_private", "clients.keys")
        if any(one.is_symmetric for one in found.keys):
            _refuse("keys", "public keys")
        for alg in self.algorithms:
            row = ALGORITHM_TABLE.get(alg)
            if row is None or row.kind == "hmac":  # a secret that two hold proves nothing
                _refuse("algorithms", "algorithms with public keys", alg)
