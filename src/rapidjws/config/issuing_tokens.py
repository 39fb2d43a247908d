"""The tables ``token``, ``clients`` and those of the signing service of the file for ``rapidjws issue``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from rapidjws import _files
from rapidjws.config.issuing_publication import SECRET_MAX_BYTES
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing import (
    ActiveSigner,
    GatewayCertificate,
    SignatureLog,
    SigningClient,
    SigningService,
    TokenClient,
    TokenService,
)
from rapidjws.signing.signing_queue import SigningQueue, check_queue
from rapidjws.stores import MemoryReplayStore, RedisReplayStore

if TYPE_CHECKING:
    from rapidjws.config.read import LoadedConfig
    from rapidjws.issuing import KeyLifeCycle, KeyMaker, SignatureAudit, SigningKey
    from rapidjws.issuing.active_signer import Wrap
    from rapidjws.jwt.engine import Engine
    from rapidjws.observe.issuer_metrics import IssuerMetrics
    from rapidjws.signing import Signer
    from rapidjws.signing.backend import KeySigner
    from rapidjws.verify.protocols import Clock, ReplayStore, RevocationStore

_AUTHENTICATION: Final = ("assertion_lifetime_s", "leeway_s")


def services_from(
    loaded: LoadedConfig,
    life_cycle: KeyLifeCycle,
    maker: KeyMaker,
    *,
    clock: Clock | None = None,
    audit: SignatureAudit | None = None,
    metrics: IssuerMetrics | None = None,
    revocations: RevocationStore | None = None,
) -> tuple[TokenService | None, SigningService | None]:
    """Return the token service and the signing service of a file, each None where it has no table for it.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the line of a client or the setting as its place.
    """
    found: dict[str, Any] | None = loaded.tables.get("token")
    if found is None:
        for name in ("clients", "signing_service", "signing_clients"):
            if name in loaded.tables and loaded.tables[name] != []:
                raise error_for("configuration_invalid", name, "nothing without a table token")
        return None, None
    issuer = loaded.tables["issuing"]["issuer"]
    clients = [_client(loaded, at, one) for at, one in enumerate(loaded.tables.get("clients", []))]
    signing = {one.get("client_id") for one in loaded.tables.get("signing_clients", [])}
    for at, client in enumerate(clients):
        if not client.grants and client.client_id not in signing:
            words = "a grant, or the client among signing_clients"
            loaded.text.refuse(("clients", at, "grants"), words, None)
    if any(one.secret is not None for one in clients) and not found.get("insecure_allow_basic", False):
        raise error_for("configuration_invalid", "token.insecure_allow_basic", "true, for shared secrets")
    longest_s = life_cycle.timing.token_lifetime_s
    if audit is None and "audit_file" in found:
        audit = SignatureLog(loaded.path.parent / found["audit_file"])
    shared: dict[str, Any] = {name: found[name] for name in _AUTHENTICATION if name in found} | {
        "issuer": issuer,
        "clients": clients,
        "replay": _replay(found),
        "mtls": _mtls(found),
        "audit": audit,
        "clock": clock,
    }
    signer = ActiveSigner(life_cycle, maker, wrap=_wrap(loaded, metrics))
    tokens = TokenService(
        signer,
        token_endpoint=found.get("endpoint", f"{issuer.rstrip('/')}/token"),
        lifetime_s=found.get("lifetime_s", int(min(300, longest_s))),
        subjects=_subjects(loaded, found),
        counter=None if metrics is None else metrics.token_requested,
        revocations=revocations,
        **({"act_depth": found["act_depth"]} if "act_depth" in found else {}),
        **shared,
    )
    return tokens, _signing(loaded, signer, tokens, shared)


def _signing(
    loaded: LoadedConfig, signer: ActiveSigner, tokens: TokenService, shared: dict[str, Any]
) -> SigningService | None:
    """Return the signing service of a file, by the clients, the queue and the audit of its token service."""
    rows = loaded.tables.get("signing_clients", [])
    found: dict[str, Any] | None = loaded.tables.get("signing_service")
    if found is None:
        if rows:
            raise error_for("configuration_invalid", "signing_clients", "nothing without signing_service")
        return None
    endpoint = found.get("endpoint", f"{shared['issuer'].rstrip('/')}/sign")
    allowed = [_signing_client(loaded, at, one) for at, one in enumerate(rows)]
    made = SigningService(signer, endpoint=endpoint, allowed=allowed, **shared)
    if made.path == tokens.path or made.path.startswith("/.well-known/"):
        words = "a path that is not another endpoint's"
        raise error_for("configuration_invalid", "signing_service.endpoint", words)
    return made


def _signing_client(loaded: LoadedConfig, at: int, one: dict[str, Any]) -> SigningClient:
    given: dict[str, Any] = {
        name: (value,) if name in ("typ", "algorithms", "kids") and isinstance(value, str) else value
        for name, value in one.items()
    }
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return SigningClient(**given)
    except RapidJWSError as refused:
        setting = (refused.place or "").removeprefix("signing_clients.")
        path = ("signing_clients", at, setting) if setting in one else ("signing_clients", at)
        loaded.text.refuse(path, str(refused.expected), None)


def _wrap(loaded: LoadedConfig, metrics: IssuerMetrics | None) -> Wrap | None:
    """Return what stands before a new signer: a queue before one elsewhere, and what times it."""
    found = loaded.tables["issuing"]
    if "key_folder" in found:
        return None if metrics is None else metrics.measured
    settings: dict[str, Any] = dict(loaded.tables.get("queue", {}))
    try:
        check_queue(**settings)  # an operator's slip is an error at the start, not at the first token
    except RapidJWSError as refused:
        raise error_for(refused.code, f"queue.{refused.place}", refused.expected, refused.actual) from None

    def wrap(signer: Signer, key: SigningKey) -> Signer:
        meter = None if metrics is None else metrics.queue(["kms" if "kms_regions" in found else "pkcs11"])
        queue = SigningQueue([cast("KeySigner", signer)], **settings, meter=meter)
        return queue if metrics is None else metrics.measured(queue, key)

    return wrap


def _replay(found: dict[str, Any]) -> ReplayStore:
    if "replay_redis" in found:
        return RedisReplayStore(found["replay_redis"], prefix="rapidjws:assertion:")
    return MemoryReplayStore()


def _mtls(found: dict[str, Any]) -> GatewayCertificate | None:
    if "mtls_header" not in found:
        for name in ("mtls_form", "mtls_gateways"):
            if name in found:
                raise error_for("configuration_invalid", f"token.{name}", "nothing without mtls_header")
        return None
    try:
        return GatewayCertificate(
            header=found["mtls_header"],
            form=found.get("mtls_form", "rfc9440"),
            gateways=found.get("mtls_gateways", []),
        )
    except RapidJWSError as refused:
        place = f"token.mtls_{(refused.place or '').rpartition('.')[2]}"
        raise error_for(refused.code, place, refused.expected, refused.actual) from None


def _subjects(loaded: LoadedConfig, found: dict[str, Any]) -> Engine | None:
    if "subject_config" not in found:
        return None
    from rapidjws.config.load import build_service
    from rapidjws.config.read import load_config

    return build_service(load_config(loaded.path.parent / found["subject_config"])).engine


def _client(loaded: LoadedConfig, at: int, one: dict[str, Any]) -> TokenClient:
    folder = loaded.path.parent
    files = {"keys_file": "keys", "secret_file": "secret"}
    given: dict[str, Any] = {name: value for name, value in one.items() if name not in files}
    name = "client_id"
    try:
        if "keys_file" in one:
            name = "keys_file"
            given["keys"] = folder / one["keys_file"]
        if "secret_file" in one:
            name = "secret_file"
            octets = _files.read_private(folder / one["secret_file"], SECRET_MAX_BYTES)
            given["secret"] = octets.decode("ascii").strip()
        return TokenClient(**given)
    except (OSError, UnicodeDecodeError) as fault:
        why = (fault.strerror if isinstance(fault, OSError) else None) or "not ASCII"
        loaded.text.refuse(("clients", at, name), f"a file to trust: {why}", None)
    except RapidJWSError as refused:
        setting = (refused.place or "").removeprefix("clients.").partition(".")[0]
        setting = {"keys": "keys_file", "secret": "secret_file"}.get(setting, setting)
        words = refused.expected if refused.expected is not None else refused.info.meaning
        path = ("clients", at, setting) if setting in one else ("clients", at)
        loaded.text.refuse(path, f"{setting}: {words}" if setting not in one else str(words), None)
