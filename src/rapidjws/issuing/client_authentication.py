"""Authentication of clients: private_key_jwt (RFC 7523), mTLS by a gateway's header (RFC 8705), Basic.

Each client has one method, and none can be used for another client. An answer does not say what was wrong: a
stranger learns neither which clients there are nor why an assertion was refused.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.replay_rule import Replay

if TYPE_CHECKING:
    from rapidjws.issuing.gateway_certificate import GatewayCertificate, PresentedCertificate
    from rapidjws.issuing.token_clients import TokenClient
    from rapidjws.verify.protocols import ReplayStore

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_TYPES: Final = ("JWT", "client-authentication+jwt")
BASIC_MAX_CHARS: Final = 2048


def unauthenticated(place: str, why: str | None = None) -> RapidJWSError:
    """Return the error for a client that is not authenticated."""
    return error_for("token_request_refused", place, why, "invalid_client")


class ClientAuthentication:
    """The clients of one token service, authenticated.

    Args:
        clients: The clients.
        audiences: The names that an assertion's ``aud`` may have: the issuer and its token endpoint.
        replay: Where the ``jti`` of assertions are recorded; required for ``private_key_jwt``.
        assertion_lifetime_s: Longest time from now to an assertion's ``exp``, in seconds.
        leeway_s: Clock difference forgiven, in seconds.
        mtls: The gateway's header, or None.
        now: Gives seconds since the epoch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        clients: Sequence[TokenClient],
        *,
        audiences: Sequence[str],
        replay: ReplayStore | None,
        assertion_lifetime_s: int,
        leeway_s: int,
        mtls: GatewayCertificate | None,
        now: Callable[[], float],
    ) -> None:
        self.clients = {one.client_id: one for one in clients}
        if not clients or len(self.clients) != len(clients):
            raise error_for("configuration_invalid", "clients", "one or more, each client_id once")
        self._lifetime_s = assertion_lifetime_s
        self._leeway_s = leeway_s
        self._mtls = mtls
        self._now = now
        asserting = [one for one in clients if one.authentication == "private_key_jwt"]
        if asserting and replay is None:
            raise error_for("configuration_invalid", "replay", "a store, for private_key_jwt")
        if mtls is None and any(one.authentication == "tls_client_auth" for one in clients):
            raise error_for("configuration_invalid", "token.mtls", "a gateway's header, for tls_client_auth")
        self._engine: Engine | None = None
        if replay is not None and asserting:
            issuers = [self._issuer_of(one, audiences, replay) for one in asserting]
            self._engine = Engine(*issuers, precompute_threshold=0)

    @property
    def headers(self) -> frozenset[str]:
        """Return the gateway's header, if there is one."""
        return frozenset() if self._mtls is None else frozenset({self._mtls.header})

    def _issuer_of(self, client: TokenClient, audiences: Sequence[str], replay: ReplayStore) -> Issuer:
        assert client.key_set is not None  # the client's own check
        return Issuer(
            client.client_id,  # RFC 7523 s.3: iss and sub are the client_id
            keys=client.key_set,
            algorithms=client.algorithms,
            audience=audiences,
            typ=ASSERTION_TYPES,
            typ_required=False,
            claims={"sub": client.client_id, "exp": self._is_near, "aud": is_one_name},
            required_claims=("exp", "jti"),
            leeway_s=self._leeway_s,
            try_keys=4,
            replay=Replay(store=replay),
        )

    def authenticated(
        self, form: Mapping[str, str], headers: Mapping[str, list[str]], peer: str | None, now_s: float
    ) -> tuple[TokenClient, PresentedCertificate | None]:
        """Return the client that makes a request, and its certificate where a gateway named one.

        Raises:
            IssuingRefused: ``token_request_refused``, with ``invalid_client`` or ``invalid_request``.
            DependencyUnavailable: The replay store does not answer, or the clock cannot be right.
        """
        basic = headers.get("authorization", [])
        if "client_secret" in form:
            raise unauthenticated("client_secret", "no secret in the body")
        has_assertion = "client_assertion" in form or "client_assertion_type" in form
        if basic and has_assertion:  # RFC 6749 s.2.3
            raise error_for("token_request_refused", "authorization", "one method", "invalid_request")
        certificate = None if self._mtls is None else self._mtls.presented(headers, peer)
        if has_assertion:
            return self._by_assertion(form, now_s), certificate
        if basic:
            return self._by_secret(form, basic), certificate
        return self._by_certificate(form, certificate), certificate

    def _known(self, client_id: str | None, method: str) -> TokenClient:
        client = self.clients.get(client_id or "")
        if client is None or client.authentication != method:
            raise unauthenticated("client_id", "a client of this method")
        return client

    def _by_assertion(self, form: Mapping[str, str], now_s: float) -> TokenClient:
        if form.get("client_assertion_type") != ASSERTION_TYPE or self._engine is None:
            raise unauthenticated("client_assertion_type", ASSERTION_TYPE)
        try:
            verified = self._engine.verify(form.get("client_assertion", ""), now_s)
        except RapidJWSError as refused:
            if refused.outcome == "indeterminate":
                raise
            raise unauthenticated("client_assertion", refused.code) from None
        claims: dict[str, Any] = verified.claims
        client = self._known(claims["iss"], "private_key_jwt")
        if form.get("client_id", client.client_id) != client.client_id:  # RFC 7521 s.4.2
            raise unauthenticated("client_id", "the subject of the assertion")
        return client

    def _is_near(self, exp: float) -> bool:
        """Return whether an assertion ends soon; checked before its ``jti`` is kept until then."""
        return bool(exp <= self._now() + self._lifetime_s + self._leeway_s)

    def _by_secret(self, form: Mapping[str, str], basic: list[str]) -> TokenClient:
        name, secret = _basic_of(basic)
        client = self.clients.get(name)
        expected = client.secret if client is not None and client.secret is not None else "-" * 32
        is_equal = hmac.compare_digest(secret.encode("utf-8", "surrogatepass"), expected.encode())
        if client is None or client.authentication != "client_secret_basic" or not is_equal:
            raise unauthenticated("authorization")
        if form.get("client_id", name) != name:
            raise unauthenticated("client_id", "the client of the header")
        return client

    def _by_certificate(self, form: Mapping[str, str], found: PresentedCertificate | None) -> TokenClient:
        client = self._known(form.get("client_id"), "tls_client_auth")
        if found is None:
            raise unauthenticated("client_certificate", "a certificate from a gateway")
        if found.thumbprint not in client.certificates and not set(found.uris) & set(client.uris):
            raise unauthenticated("client_certificate", "a certificate of the client")
        return client


def is_one_name(aud: object) -> bool:
    """Return whether an ``aud`` is one name: a second one could use the assertion in the client's name."""
    return not isinstance(aud, list) or len(aud) == 1


def _basic_of(values: list[str]) -> tuple[str, str]:
    """Return client_id and secret (RFC 6749 s.2.3.1, RFC 7617)."""
    scheme, _, rest = values[0].partition(" ")
    if len(values) != 1 or scheme.lower() != "basic" or len(rest) > BASIC_MAX_CHARS:
        raise unauthenticated("authorization", "Basic")
    try:
        text = base64.b64decode(rest.strip(" ").encode("ascii"), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeError):
        raise unauthenticated("authorization", "Basic") from None
    name, found, secret = text.partition(":")
    if not found:
        raise unauthenticated("authorization", "Basic")
    return unquote_plus(name), unquote_plus(secret)
