"""The file for ``rapidjws issue``: the keys of an issuer, from a table ``issuing`` of TOML or JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rapidjws._checks import checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.config import issuing_schema, issuing_setting, schema
from rapidjws.config.issuing_publication import Published, announcer_from, published_from, secret_of
from rapidjws.config.issuing_tokens import services_from
from rapidjws.config.locate import line_of
from rapidjws.config.read import LoadedConfig, load_config
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing import (
    Announcer,
    AwsKmsKeyMaker,
    EmergencyLog,
    FileStateStore,
    FreezeWindow,
    KeyLifeCycle,
    KeyTiming,
    LocalKeyMaker,
    Pkcs11KeyMaker,
    RedisStateStore,
    Schedule,
    SignatureAudit,
)
from rapidjws.issuing.publication import is_https_url
from rapidjws.observe.issuer_metrics import IssuerMetrics
from rapidjws.stores import RedisRevocations, RedisRotations, RevocationFile
from rapidjws.verify.protocols import Clock, EventListener

if TYPE_CHECKING:
    from rapidjws.issuing import KeyMaker, SigningService, StateStore, TokenService
    from rapidjws.verify.protocols import RevocationStore

ANNOUNCE_S: Final = 30.0
"""How long `rapidjws issue serve` asks consumers for a new key, in seconds."""

REDIS_SKEW_LEAST_S: Final = 0.1
"""Two clocks are never alike, and an answer takes its time: with less nothing would ever change."""

_TIMING = (
    "jwks_max_age_s",
    "token_lifetime_s",
    "clock_skew_s",
    "state_max_age_s",
    "publish_slack_s",
    "publish_before_s",
    "keep_after_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingConfig:
    """What a file says of an issuer's keys.

    Attributes:
        loaded: The file as it was read.
        issuer: The ``iss``.
        store: Where the state is.
        maker: Makes keys.
        life_cycle: The keys.
        published: What is served, and where.
        announcer: Tells the consumers.
        revocations: Where an emergency revokes a key, or None.
        tokens: The token endpoint, or None.
        signing: The signing endpoint, or None.
        emergencies: The record of emergencies.
        metrics: What is counted of all this.
    """

    loaded: LoadedConfig
    issuer: str
    store: StateStore
    maker: KeyMaker
    life_cycle: KeyLifeCycle
    published: Published
    announcer: Announcer
    revocations: RevocationStore | None
    tokens: TokenService | None = field(repr=False)
    signing: SigningService | None = field(repr=False)
    emergencies: EmergencyLog
    metrics: IssuerMetrics

    def announce_newest(self) -> str | None:
        """Tell consumers of the newest key, and count who has it; return who has not, in words.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, and what the signer raises.
        """
        made = self.announcer.announce_newest(self.life_cycle, self.maker.signer, wait_s=ANNOUNCE_S)
        if made is None:
            return None
        kid, answered = made
        self.metrics.announced(answered)
        missing = ", ".join(f"{name} ({word})" for name, word in answered.missing.items())
        return f"not confirmed that they have {kid}: {missing}" if missing else None


@checked
def load_issuing(
    path: str | Path,
    *,
    clock: Clock | None = None,
    events: EventListener | None = None,
    audit: SignatureAudit | None = None,
) -> IssuingConfig:
    """Read a file for ``rapidjws issue`` and build what it describes.

    Args:
        path: The file; paths in it are relative to its folder.
        clock: Both clocks.
        events: Listener.
        audit: Takes a record of each signature of the token endpoint before it leaves.

    Raises:
        ConfigurationError: ``configuration_invalid`` or ``key_timing_unsafe``, with file, line and setting.
        ImportError: redis is configured and not installed.
    """
    loaded = load_config(path, check=False)
    check_tables(loaded)
    try:
        return _built(loaded, clock, events, audit)
    except RapidJWSError as refused:
        _with_line(loaded, refused)


def check_tables(loaded: LoadedConfig) -> None:
    """Check names and types.

    Raises:
        ConfigurationError: ``configuration_invalid``: the first thing that is wrong.
    """
    text = loaded.text
    for name in loaded.tables:
        if name not in issuing_schema.TABLES:
            text.refuse((name,), f"one of {', '.join(issuing_schema.TABLES)}", "an unknown section")
    if "issuing" not in loaded.tables:
        text.refuse(("issuing",), "a table")
    found = loaded.tables["issuing"]
    kinds = {name: one.kind for name, one in issuing_schema.ISSUING.items()}
    tables = {name for name, kind in kinds.items() if kind == issuing_setting.TABLE}
    if isinstance(found, dict):
        for name in tables & found.keys():
            table = found[name]
            if not isinstance(table, dict) or not all(isinstance(one, str) for one in table.values()):
                text.refuse(("issuing", name), "a table of texts", type(table).__name__)
        plain = {name: "" if name in tables else value for name, value in found.items()}
        kinds |= dict.fromkeys(tables, schema.TEXT)
    else:
        plain = found
    text.check_section(("issuing",), plain, kinds)
    if "issuer" not in found:
        text.refuse(("issuing", "issuer"), "a value", "nothing")
    if sum(name in found for name in issuing_schema.KEY_PLACES) != 1:
        text.refuse(("issuing",), f"one of {', '.join(issuing_schema.KEY_PLACES)}")
    for name in ("pkcs11_token", "pkcs11_pin_file", "pkcs11_sessions"):
        if name in found and "pkcs11_module" not in found:
            text.refuse(("issuing", name), "nothing without pkcs11_module")
        if name not in found and "pkcs11_module" in found and name != "pkcs11_sessions":
            text.refuse(("issuing", name), "a value", "nothing")
    _check_others(loaded)
    if ("state_file" in found) == ("redis" in found):
        text.refuse(("issuing",), "one of state_file and redis")


def _check_others(loaded: LoadedConfig) -> None:
    text, tables = loaded.text, loaded.tables
    text.check_section(("publication",), tables.get("publication", {}), _kinds("publication"))
    _check_each(loaded, "consumers", ("name", "url", "secret_file"))
    _check_each(loaded, "clients", ("client_id",))
    for number, one in enumerate(tables.get("clients", [])):
        if "audiences" not in one and one.get("grants") != []:
            text.refuse(("clients", number, "audiences"), "a value", "nothing")
    text.check_section(("queue",), tables.get("queue", {}), _kinds("queue"))
    if "queue" in tables and "key_folder" in tables["issuing"]:
        text.refuse(("queue",), "nothing without issuing.kms_regions or issuing.pkcs11_module")
    _check_each(loaded, "signing_clients", ("client_id", "typ"))
    for name in ("token", "signing_service"):
        if name in tables:
            text.check_section((name,), tables[name], _kinds(name))


def _kinds(table: str) -> dict[str, str]:
    return {name: one.kind for name, one in issuing_schema.TABLES[table].items()}


def _check_each(loaded: LoadedConfig, table: str, required: tuple[str, ...]) -> None:
    text = loaded.text
    found = loaded.tables.get(table, [])
    if not isinstance(found, list):
        text.refuse((table,), "tables", type(found).__name__)
    for number, one in enumerate(found):
        text.check_section((table, number), one, _kinds(table))
        for name in required:
            if name not in one:
                text.refuse((table, number, name), "a value", "nothing")


def _texts(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _store(found: dict[str, Any], folder: Path, timing: KeyTiming) -> StateStore:
    if "redis" not in found:
        return FileStateStore(folder / found["state_file"])
    if timing.clock_skew_s < REDIS_SKEW_LEAST_S:
        words = f"at least {REDIS_SKEW_LEAST_S:g} with redis, whose clock is compared with ours"
        given = f"{timing.clock_skew_s:g}"
        raise error_for("configuration_invalid", "issuing.clock_skew_s", words, given)
    return RedisStateStore(found["redis"], name=found.get("redis_name", "rapidjws:issuing"))


def _built(
    loaded: LoadedConfig, clock: Clock | None, events: EventListener | None, audit: SignatureAudit | None
) -> IssuingConfig:
    found: dict[str, Any] = loaded.tables["issuing"]
    folder = loaded.path.parent
    issuer = found["issuer"]
    if not is_https_url(issuer):  # RFC 8414 s.2
        raise error_for(
            "configuration_invalid", "issuing.issuer", "an https URL without query and fragment", issuer
        )
    timing = KeyTiming(**{name: found[name] for name in _TIMING if name in found})
    schedule = None
    if "schedule" in found:
        windows = tuple(FreezeWindow(one) for one in _texts(found.get("freeze", [])))
        schedule = Schedule(found["schedule"], float(found.get("jitter_s", 0)), windows)
    for name in ("jitter_s", "freeze"):
        if schedule is None and name in found:
            raise error_for("configuration_invalid", f"issuing.{name}", "nothing without a schedule")
    store = _store(found, folder, timing)
    maker = _maker(found, folder)
    settings: dict[str, Any] = {name: found[name] for name in ("lease_s", "name") if name in found}
    if events is not None:
        settings["events"] = events
    life_cycle = KeyLifeCycle(
        store,
        timing,
        maker,
        algorithms=_texts(found.get("algorithms", "ES256")),
        algorithm_of=found.get("algorithm_of"),
        schedule=schedule,
        clock=clock,
        **settings,
    )
    emergencies = EmergencyLog(folder / found.get("emergency_file", "emergencies.jsonl"))
    metrics = IssuerMetrics(issuer, life_cycle, emergencies=emergencies)
    revocations = _revocations(loaded)
    tokens, signing = services_from(
        loaded, life_cycle, maker, clock=clock, audit=audit, metrics=metrics, revocations=revocations
    )
    return IssuingConfig(
        loaded=loaded,
        issuer=issuer,
        store=store,
        maker=maker,
        life_cycle=life_cycle,
        published=published_from(loaded, life_cycle, float(found.get("lease_s", 15)), issuer, tokens),
        announcer=announcer_from(loaded, issuer, _rotations(loaded)),
        revocations=revocations,
        tokens=tokens,
        signing=signing,
        emergencies=emergencies,
        metrics=metrics,
    )


def _revocations(loaded: LoadedConfig) -> RevocationStore | None:
    found = loaded.tables["issuing"]
    if "revocations_file" in found and "revocations_redis" in found:
        raise error_for(
            "configuration_invalid", "issuing.revocations_redis", "nothing beside revocations_file"
        )
    if "revocations_redis" in found:
        return RedisRevocations(found["revocations_redis"])
    if "revocations_file" in found:
        return RevocationFile(loaded.path.parent / found["revocations_file"])
    return None


@keeps_secrets
def _maker(found: dict[str, Any], folder: Path) -> KeyMaker:
    """Return what makes keys: a folder, KMS, or a PKCS#11 token."""
    more = {"rsa_bits": found["rsa_bits"]} if "rsa_bits" in found else {}
    if "kms_regions" in found:
        return AwsKmsKeyMaker(_texts(found["kms_regions"]), **more)
    if "pkcs11_module" in found:
        if "pkcs11_sessions" in found:
            more["sessions"] = found["pkcs11_sessions"]
        pin = secret_of(folder / found["pkcs11_pin_file"], "issuing.pkcs11_pin_file")
        return Pkcs11KeyMaker(found["pkcs11_module"], token_label=found["pkcs11_token"], pin=pin, **more)
    return LocalKeyMaker(folder / found["key_folder"], **more)


def _rotations(loaded: LoadedConfig) -> RedisRotations | None:
    """Return the channel of those who read revocations from the same Redis."""
    url = loaded.tables["issuing"].get("revocations_redis")
    return None if url is None else RedisRotations(url)


def _with_line(loaded: LoadedConfig, refused: RapidJWSError) -> NoReturn:
    """Raise the error of a constructor again, with the line that its setting stands on."""
    place = refused.place or "issuing"
    if place.startswith(f"{loaded.text.name}:"):
        raise refused
    path = tuple(place.split("."))
    line = line_of(loaded.text.text, path, is_json=loaded.text.is_json)
    where = loaded.text.name if line is None else f"{loaded.text.name}:{line}"
    raise error_for(refused.code, f"{where}: {place}", refused.expected, refused.actual) from None
