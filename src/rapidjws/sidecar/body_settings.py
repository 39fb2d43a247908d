"""The settings of ``server.body``, checked once: where a body's JWS stands, what it covers, by which keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.limits import HEADER_CEILING_BYTES
from rapidjws.jws.verifier import Verifier
from rapidjws.keys import CachedJWKSVerifier, Transport, X5CKeys
from rapidjws.keys.x5c_policy import PROFILES
from rapidjws.middleware.body_digest import BodyDigest
from rapidjws.middleware.body_parts import FormField, JSONMember
from rapidjws.middleware.body_replay import KEEP_S, BodyReplay
from rapidjws.middleware.request_nonces import LIFETIME_S
from rapidjws.middleware.signed_body import SignedBody
from rapidjws.middleware.signed_request import PayloadBuilder, RequestLines, SignedData
from rapidjws.middleware.token_location import is_field_name
from rapidjws.sidecar.body_nonces import NONCE_RULES, nonces_of
from rapidjws.sidecar.body_routes import BodyRoutes
from rapidjws.sidecar.crit_values import crit_checks_of
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.verify.arguments import checked_algorithms

if TYPE_CHECKING:
    from rapidjws.jwt.engine import Engine
    from rapidjws.middleware.request_nonces import RequestNonces
    from rapidjws.observe.recorder import MetricRecorder
    from rapidjws.rollout.rollout import Rollout
    from rapidjws.verify.protocols import ReplayStore

PAYLOADS: Final = ("body", "request_lines", "sig_d")
UNSIGNED: Final = ("refuse", "pass")
DIGEST_OF_ALL: Final = "digest"
"""The value of ``replay_identity`` for the digest of what was signed."""

_SETTINGS: Final = {
    "part.pointer": "member",
    "part.name": "form_field",
    "digest.claim": "digest_claim",
    "digest.algorithm": "digest_algorithm",
    "digest.encoding": "digest_encoding",
    "request_lines.names_in": "payload_names_in",
    "replay.identity": "replay_identity",
    "replay.keep_s": "replay_keep_s",
    "replay.on_failure": "replay_on_failure",
    **{f"nonces.{name}": f"nonce_{name}" for name in NONCE_RULES},
}
"""Where an error of a part stands -> the setting that fills it."""

_ONLY_WITH: Final = {
    "scheme": ("signature_headers",),
    "digest_claim": ("signature_headers",),
    "payload": ("signature_headers",),
    "digest_algorithm": ("digest_claim",),
    "digest_encoding": ("digest_claim",),
    "digest_prefix": ("digest_claim",),
    "unsigned": ("member", "form_field"),
    "replay_keep_s": ("replay_identity",),
    "replay_on_failure": ("replay_identity",),
    **{f"nonce_{name}": ("nonce_secrets_file",) for name in NONCE_RULES},
    "cache_file": ("jwks_url",),
    "algorithms": ("jwks_file", "jwks_url", "x5c_roots"),
    "x5c_policy": ("x5c_roots",),
    "crit_checks": ("jwks_file", "jwks_url", "x5c_roots"),
    "crit_optional": ("crit_checks",),
}
"""Settings that are read with one of some others only."""

_NOT_BOTH: Final = (
    ("member", "form_field"),
    ("member", "signature_headers"),
    ("form_field", "signature_headers"),
    ("jwks_file", "jwks_url"),
    ("jwks_file", "x5c_roots"),
    ("jwks_url", "x5c_roots"),
)


def _refused(name: str, expected: Any, actual: Any = None) -> RapidJWSError:
    return error_for("configuration_invalid", f"server.body.{name}", expected, actual)


@checked(under="server.body")
@dataclass(frozen=True, slots=True, kw_only=True)
class BodySettings:
    """Which requests of the sidecar are decided by a signature of their body, and how.

    Args:
        routes: Paths of them, ``/like/this`` or ``/like/this/*`` for all below; none for all requests.
        member: The JSON Pointer of the JWS in a JSON body, or None.
        form_field: The field of the JWS in an urlencoded body, or None.
        unsigned: ``"refuse"`` for a body that holds more than this, which the gateway would hand on;
            ``"pass"`` lets it pass.
        signature_headers: Headers of the JWS, of which a request may have one. Without any of these three the
            body is the JWS.
        scheme: What stands before the JWS in its header; ``""`` for nothing.
        digest_claim: The JSON Pointer of a claim with a digest of the body, or None; the header then holds a
            whole JWS.
        digest_algorithm: As for :class:`rapidjws.middleware.BodyDigest`.
        digest_encoding: Likewise.
        digest_prefix: Likewise.
        payload: What a signature in a header covers: ``"body"``, ``"request_lines"`` or ``"sig_d"``.
        payload_names_in: The header parameter that lists signed headers, with ``"request_lines"``.
        required_headers: Headers that must be signed.
        crit_checks: Critical header parameter -> what it must be, as ``crit_checks_of`` takes them; or None.
        crit_optional: Those of them that a message may leave away.
        jwks_file: Keys of the senders in a file, instead of those of the engine's issuers; or None.
        jwks_url: The https URL of such keys, or None.
        cache_file: The file that keeps what the URL gave.
        x5c_roots: Files of pinned roots, where each message brings its certificates in ``x5c``.
        x5c_policy: The name of a profile of chains, as for :class:`rapidjws.keys.X5CPolicy`, or None.
        algorithms: The ``alg`` values of these keys.
        replay_identity: The JSON Pointer of an identifier, or ``"digest"``; None demands no single use.
        replay_keep_s: For how many seconds a use is remembered.
        replay_on_failure: ``"deny"`` or ``"accept"``, while the store cannot tell.
        nonce_secrets_file: Secrets of the nonces that senders sign, one a line; None demands none.
        nonce_place: ``"claims"``, ``"header"`` or ``"body"``, as for
            :class:`rapidjws.middleware.RequestNonces`.
        nonce_member: The JSON Pointer of the nonce in there.
        nonce_lifetime_s: For how many seconds a nonce is good.
        nonce_required: Whether a request without one is refused.
        nonce_on_failure: ``"deny"`` or ``"accept"``, while the store cannot tell.
        empty_body: Whether an empty body may be what was signed.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the setting.
    """

    routes: tuple[str, ...] = ()
    member: str | None = None
    form_field: str | None = None
    unsigned: str = "refuse"
    signature_headers: tuple[str, ...] = ()
    scheme: str = ""
    digest_claim: str | None = None
    digest_algorithm: str = "sha256"
    digest_encoding: str = "hex"
    digest_prefix: str = ""
    payload: str = "body"
    payload_names_in: str = "tl_headers"
    required_headers: tuple[str, ...] = ()
    crit_checks: Mapping[str, Any] | None = field(default=None, hash=False)
    crit_optional: tuple[str, ...] = ()
    jwks_file: Path | None = None
    jwks_url: str | None = None
    cache_file: Path | None = None
    x5c_roots: tuple[Path, ...] = ()
    x5c_policy: str | None = None
    algorithms: tuple[str, ...] = ()
    replay_identity: str | None = None
    replay_keep_s: int = KEEP_S
    replay_on_failure: str = "deny"
    nonce_secrets_file: Path | None = None
    nonce_place: str = "claims"
    nonce_member: str = "/nonce"
    nonce_lifetime_s: int = LIFETIME_S
    nonce_required: bool = True
    nonce_on_failure: str = "deny"
    empty_body: bool = False
    covered: BodyRoutes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every setting once."""
        for name, choices in (("unsigned", UNSIGNED), ("payload", PAYLOADS)):
            if getattr(self, name) not in choices:
                raise _refused(name, choices)
        for name in ("signature_headers", "required_headers"):
            for one in getattr(self, name):
                if not is_field_name(one) and not (name == "required_headers" and one.startswith("(")):
                    raise _refused(name, "header names (RFC 9110)")
        if self.scheme and not (self.scheme.isascii() and self.scheme.isalpha()):
            raise _refused("scheme", "a scheme's name")
        self._check_choices()
        self._check_keys()
        self._check_crit()
        object.__setattr__(self, "covered", BodyRoutes(self.routes))
        try:
            self._part, self._digest, self._payload_of, self._replay(MemoryReplayStore(1))
            nonces_of(self.nonce_secrets_file, self._nonce_rules, MemoryReplayStore(1), reads_file=False)
        except RapidJWSError as fault:
            raise _refused(_SETTINGS.get(fault.place or "", "member"), fault.expected) from None

    def _is_given(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).__dataclass_fields__[name].default)

    def _check_choices(self) -> None:
        """Refuse settings that do not go together, and those that nothing would read."""
        for one, other in _NOT_BOTH:
            if self._is_given(one) and self._is_given(other):
                raise _refused(other, f"no {one} beside it")
        for name, others in _ONLY_WITH.items():
            if self._is_given(name) and not any(self._is_given(other) for other in others):
                raise _refused(name, f"{' or '.join(others)} beside it")
        if self.digest_claim is not None and self.payload != "body":
            raise _refused("payload", "no digest_claim beside it")
        if self.nonce_place == "body" and self.digest_claim is None and self.payload == "body":
            raise _refused("nonce_place", "claims, header, or a digest beside it")
        if self._is_given("payload_names_in") and self.payload != "request_lines":
            raise _refused("payload_names_in", 'payload = "request_lines" beside it')
        if self.required_headers and self.payload == "body":
            raise _refused("required_headers", 'payload = "request_lines" or "sig_d" beside it')

    def _check_keys(self) -> None:
        has_keys = self.jwks_file is not None or self.jwks_url is not None or bool(self.x5c_roots)
        if self.x5c_policy is not None and self.x5c_policy not in PROFILES:
            raise _refused("x5c_policy", tuple(PROFILES))
        if self.is_detached and not has_keys:
            raise _refused("jwks_file", "the senders' keys: a payload beside its JWS is no token")
        if has_keys:
            try:
                checked_algorithms(self.algorithms)
            except RapidJWSError as fault:
                raise _refused("algorithms", fault.expected or "a value") from None
        if self.jwks_url is None:
            return
        if self.cache_file is None:
            raise _refused("cache_file", "a file that keeps the keys of jwks_url")
        try:
            Transport().check_url(self.jwks_url)
        except RapidJWSError as fault:
            raise _refused("jwks_url", fault.expected) from None

    def _check_crit(self) -> None:
        if self.crit_checks is None:
            return
        try:
            checks = crit_checks_of(self.crit_checks)
        except RapidJWSError as fault:
            raise _refused("crit_checks", fault.expected, fault.actual) from None
        if not checks:
            raise _refused("crit_checks", "at least one")
        if not checks.keys() >= set(self.crit_optional):
            raise _refused("crit_optional", "names of crit_checks")

    @property
    def _crit(self) -> tuple[str, ...]:
        """Return the critical extensions that the senders' messages may have."""
        return ("b64", *(self.crit_checks or ()))

    @property
    def is_detached(self) -> bool:
        """Return whether what is signed stands beside the JWS."""
        return bool(self.signature_headers) and self.digest_claim is None

    @property
    def reads_request(self) -> bool:
        """Return whether any header of the request may be signed."""
        return self.payload != "body"

    @property
    def _part(self) -> JSONMember | FormField | None:
        others: Any = "remove" if self.unsigned == "pass" else "refuse"
        if self.member is not None:
            return JSONMember(pointer=self.member, others=others)
        return None if self.form_field is None else FormField(name=self.form_field, others=others)

    @property
    def _digest(self) -> BodyDigest | None:
        if self.digest_claim is None:
            return None
        return BodyDigest(
            claim=self.digest_claim,
            algorithm=self.digest_algorithm,
            encoding=self.digest_encoding,
            prefix=self.digest_prefix,
        )

    @property
    def _payload_of(self) -> PayloadBuilder | None:
        if self.payload == "request_lines":
            return RequestLines(names_in=self.payload_names_in, required=self.required_headers)
        return SignedData(required=self.required_headers) if self.payload == "sig_d" else None

    def _replay(self, store: ReplayStore) -> BodyReplay | None:
        if self.replay_identity is None:
            return None
        identity = None if self.replay_identity == DIGEST_OF_ALL else self.replay_identity
        failure: Any = self.replay_on_failure
        return BodyReplay(store=store, identity=identity, keep_s=self.replay_keep_s, on_failure=failure)

    @property
    def _nonce_rules(self) -> dict[str, Any]:
        return {name: getattr(self, f"nonce_{name}") for name in NONCE_RULES}

    def _nonces(self, store: ReplayStore) -> RequestNonces | None:
        try:
            return nonces_of(self.nonce_secrets_file, self._nonce_rules, store)
        except RapidJWSError as fault:
            place = _SETTINGS.get(fault.place or "", "nonce_secrets_file")
            raise _refused(place, fault.expected, fault.actual) from None

    def verifier(self) -> Verifier | CachedJWKSVerifier | None:
        """Return what verifies by the senders' keys, or None where the engine does.

        Raises:
            ConfigurationError: ``configuration_invalid``: no usable key in the file.
        """
        if self.jwks_url is not None and self.cache_file is not None:
            return CachedJWKSVerifier(
                self.jwks_url, cache_file=self.cache_file, algorithms=self.algorithms, crit=self._crit
            )
        if self.x5c_roots:
            return self._by_chains()
        if self.jwks_file is None:
            return None
        try:
            return Verifier(self.jwks_file, algorithms=self.algorithms, crit=self._crit)
        except RapidJWSError as fault:
            raise _refused("jwks_file", fault.expected or "a JWK Set or PEM", fault.actual) from None

    def _by_chains(self) -> Verifier:
        try:
            source = X5CKeys(self.x5c_roots, policy=self.x5c_policy)
        except RapidJWSError as fault:
            raise _refused("x5c_roots", fault.expected, fault.actual) from None
        most = HEADER_CEILING_BYTES
        return Verifier(source, algorithms=self.algorithms, crit=self._crit, max_header_bytes=most)

    def check_files(self) -> None:
        """Refuse files of keys that cannot be used.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        self.verifier()
        self._nonces(MemoryReplayStore(1))
        if self.cache_file is not None and not self.cache_file.parent.is_dir():
            raise _refused("cache_file", "a file in a folder to write to", "no such folder")

    def signed_body(
        self,
        engine: Engine,
        *,
        rollout: Rollout | None,
        store: ReplayStore,
        recorder: MetricRecorder | None,
        max_bytes: int,
    ) -> SignedBody:
        """Return what verifies bodies.

        Args:
            engine: Its issuers' keys verify where no others are named, and its rules hold for all.
            rollout: What becomes of verdicts.
            store: Where uses are remembered.
            recorder: Counts.
            max_bytes: Largest body.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        verifier: Any = self.verifier()
        return SignedBody(
            verifier=engine if verifier is None else verifier,
            signature_header=self.signature_headers or None,
            scheme=self.scheme,
            part=self._part,
            digest=self._digest,
            payload_of=self._payload_of,
            crit_checks=None if self.crit_checks is None else crit_checks_of(self.crit_checks),
            crit_optional=self.crit_optional,
            replay=self._replay(store),
            nonces=self._nonces(store),
            max_bytes=max_bytes,
            rollout=rollout,
            recorder=recorder,
            authorizer=engine.authorizer,
        )


def body_settings_from(section: dict[str, Any], folder: Path) -> BodySettings:
    """Return the settings of a table ``server.body``; raises ConfigurationError.

    Args:
        section: The table.
        folder: What paths are relative to.
    """
    settings = dict(section)
    for name in ("routes", "signature_headers", "required_headers", "crit_optional", "algorithms"):
        if name in settings:
            value = settings[name]
            settings[name] = (value,) if isinstance(value, str) else tuple(value)
            if not settings[name]:
                raise _refused(name, "at least one")
    if "x5c_roots" in settings:
        roots = settings["x5c_roots"]
        settings["x5c_roots"] = tuple(folder / one for one in ([roots] if isinstance(roots, str) else roots))
    for name in ("jwks_file", "cache_file", "nonce_secrets_file"):
        if name in settings:
            settings[name] = folder / settings[name]
    return BodySettings(**settings)
