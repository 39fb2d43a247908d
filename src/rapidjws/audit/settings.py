"""The settings of an audit trail, as a configuration has them, and what they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.audit.content_keys import ContentKeys, read_operator_key
from rapidjws.audit.decision_recorder import DecisionRecorder, Selection
from rapidjws.audit.retention import Retention
from rapidjws.audit.schedule import Schedule
from rapidjws.audit.sequencer import SOCKET, Sequencer, check_socket_path
from rapidjws.audit.sequencer_client import SequencerClient
from rapidjws.audit.signer_settings import check_signer, check_words, log_key_of, signer_of
from rapidjws.audit.timestamp_schedule import TimestampSchedule
from rapidjws.audit.timestamps import TimestampAuthority, read_roots
from rapidjws.audit.trail_writer import TrailWriter
from rapidjws.audit.witness_schedule import Witness, WitnessSchedule
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.keys.settings import Transport
from rapidjws.verify.protocols import no_events

if TYPE_CHECKING:
    from rapidjws.audit.notes import NoteKey
    from rapidjws.jwt.engine import Engine
    from rapidjws.signing.signer import Signer
    from rapidjws.verify.protocols import EventListener

TIMESTAMP_TIMEOUT_S = 10.0


@checked(under="audit")
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How decisions are recorded.

    Args:
        folder: The trail.
        origin: The log's name in its checkpoints, as ``gateway1.example.com/audit``.
        key_file: The private key that signs checkpoints; this, ``kms_key`` or ``pkcs11_module``.
        kms_key: The key in AWS KMS that signs them: its id, ARN or alias.
        kms_regions: Regions of that key, the first one first.
        pkcs11_module: The library of the token whose key signs them.
        pkcs11_token: The token's label.
        pkcs11_key: The key's label.
        pkcs11_pin_file: File of the PIN.
        signer_alg: Algorithm of a KMS or a token; empty for that of ``log_key``, or ES256.
        log_key: The log's public key in one word, of a KMS or a token: with it the service starts while
            those are away.
        durability: ``"durable"``: a decision is answered after its record is on the disk; ``"buffered"``.
        on_failure: What becomes of a decision without a record: ``"refuse"`` or ``"count"``.
        record: ``"all"`` or ``"refusals"``.
        partners: Only decisions of these partners; none for all.
        routes: Only of routes that begin so; none for all.
        sample: The share of accepted tokens that is recorded.
        content: What is stored beside records: ``"token"``, ``"claims"``.
        claims: Claims that are stored with ``"claims"``.
        timeout_s: Longest wait of a decision for its record.
        queue_records: Most records that wait in a worker.
        flush_ms: Longest time a record waits in a worker, ``buffered``.
        checkpoint_s: Longest time between a record and its checkpoint.
        checkpoint_records: Most records between two checkpoints.
        content_keys: Folder of the keys that encrypt what is stored beside records; none leaves it in clear.
        content_key_file: The operator's key, 32 octets, under which those lie.
        content_key_per: ``"month"`` or ``"subject"``: what each key is for.
        retention_days: How many days that is kept; 0 for ever.
        timestamp_url: The authority that stamps checkpoints (RFC 3161); none for no stamps.
        timestamp_roots: PEM file of the certificates that its stamps must lead to.
        timestamp_every_s: Seconds between stamps.
        timestamp_ca: PEM file of the only authorities trusted for the connection; none for the system's.
        timestamp_insecure_allow_http: Whether it may be asked by http.
        witnesses: Witnesses of checkpoints, ``"NAME+ID+KEY URL"`` each.
        witness_every_s: Seconds between checkpoints that each is given.
        witness_ca: PEM file of the only authorities trusted for connections to them; none for the system's.
        witness_insecure_allow_http: Whether they may be asked by http.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    folder: str
    origin: str
    key_file: str = ""
    kms_key: str = ""
    kms_regions: tuple[str, ...] = ()
    pkcs11_module: str = ""
    pkcs11_token: str = field(default="", repr=False)
    pkcs11_key: str = ""
    pkcs11_pin_file: str = ""
    signer_alg: str = ""
    log_key: str = ""
    durability: str = "durable"
    on_failure: str = "refuse"
    record: str = "all"
    partners: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    sample: float = 1.0
    content: tuple[str, ...] = ("token",)
    claims: tuple[str, ...] = ()
    timeout_s: float = 2.0
    queue_records: int = 8192
    flush_ms: int = 20
    checkpoint_s: float = 1.0
    checkpoint_records: int = 65_536
    content_keys: str = ""
    content_key_file: str = ""
    content_key_per: str = "month"
    retention_days: float = 0.0
    timestamp_url: str = ""
    timestamp_roots: str = ""
    timestamp_every_s: float = 3600.0
    timestamp_ca: str = ""
    timestamp_insecure_allow_http: bool = False
    witnesses: tuple[str, ...] = ()
    witness_every_s: float = 60.0
    witness_ca: str = ""
    witness_insecure_allow_http: bool = False

    def __post_init__(self) -> None:
        """Check every setting by what takes it, but the files."""
        if self.durability not in ("durable", "buffered"):
            raise error_for(
                "configuration_invalid", "audit.durability", "durable or buffered", self.durability
            )
        if not 0 < self.timeout_s <= 60:
            raise error_for("configuration_invalid", "audit.timeout_s", "above 0 to 60", self.timeout_s)
        if self.claims and "claims" not in self.content:
            raise error_for("configuration_invalid", "audit.claims", "claims in content beside it, or none")
        if bool(self.content_keys) != bool(self.content_key_file):
            given, other = ("content_keys", "content_key_file")[:: 1 if self.content_keys else -1]
            raise error_for("configuration_invalid", f"audit.{given}", f"{other} beside it")
        if self.content_keys and Path(self.folder) in (
            Path(self.content_keys),
            *Path(self.content_keys).parents,
        ):
            raise error_for("configuration_invalid", "audit.content_keys", "a folder outside of the trail")
        check_words(self)
        self._check_timestamps()
        self._check_witnesses()
        if not self.folder:
            raise error_for("configuration_invalid", "audit.folder", "a folder of the trail's own", "none")
        ContentKeys._check(self.content_key_per)
        Retention.check(self.retention_days)
        check_socket_path(self.folder)
        self._selection()
        DecisionRecorder.check(self.on_failure, self.content)
        self.client()
        Sequencer.check(self.checkpoint_s, self.checkpoint_records)

    def _check_timestamps(self) -> None:
        if bool(self.timestamp_url) != bool(self.timestamp_roots):
            given, other = ("timestamp_url", "timestamp_roots")[:: 1 if self.timestamp_url else -1]
            raise error_for("configuration_invalid", f"audit.{given}", f"{other} beside it")
        for name in ("timestamp_ca", "timestamp_insecure_allow_http"):
            if getattr(self, name) and not self.timestamp_url:
                raise error_for("configuration_invalid", f"audit.{name}", "timestamp_url beside it")
        TimestampSchedule.check(self.timestamp_every_s)
        if self.timestamp_url:
            http = self.timestamp_insecure_allow_http
            Transport(insecure_allow_http=http).check_url(self.timestamp_url, "audit.timestamp_url")

    def _check_witnesses(self) -> None:
        for name in ("witness_ca", "witness_insecure_allow_http"):
            if getattr(self, name) and not self.witnesses:
                raise error_for("configuration_invalid", f"audit.{name}", "witnesses beside it")
        WitnessSchedule.check(self.witness_every_s)
        http = self.witness_insecure_allow_http
        names = [self._witness(one, Transport(insecure_allow_http=http)).key.name for one in self.witnesses]
        if len(set(names)) < len(names):
            raise error_for(
                "configuration_invalid", "audit.witnesses", "each once", max(names, key=names.count)
            )

    @staticmethod
    def _witness(text: str, transport: Transport) -> Witness:
        try:
            return Witness.from_text(text, transport)
        except RapidJWSError as fault:
            raise error_for(
                "configuration_invalid", "audit.witnesses", fault.expected, fault.actual
            ) from None

    def asked_witnesses(self) -> list[Witness]:
        """Return the witnesses of checkpoints.

        Raises:
            ConfigurationError: ``configuration_invalid``: no certificates in ``witness_ca``.
        """
        try:
            transport = Transport(
                timeout_s=TIMESTAMP_TIMEOUT_S,
                ca=self.witness_ca or None,
                insecure_allow_http=self.witness_insecure_allow_http,
            )
            return [Witness.from_text(one, transport) for one in self.witnesses]
        except RapidJWSError as fault:
            raise error_for(
                "configuration_invalid", "audit.witness_ca", fault.expected, fault.actual
            ) from None

    def timestamp_authority(self) -> TimestampAuthority | None:
        """Return the authority that stamps checkpoints, or None where there is none.

        Raises:
            ConfigurationError: ``configuration_invalid``: no certificates in a file, or the extra
                ``timestamp`` is not installed.
        """
        if not self.timestamp_url:
            return None
        try:
            transport = Transport(
                timeout_s=TIMESTAMP_TIMEOUT_S,
                ca=self.timestamp_ca or None,
                insecure_allow_http=self.timestamp_insecure_allow_http,
            )
            return TimestampAuthority(self.timestamp_url, read_roots(self.timestamp_roots), transport)
        except ImportError:
            raise error_for(
                "configuration_invalid", "audit.timestamp_url", "the extra timestamp", "not installed"
            ) from None
        except RapidJWSError as fault:
            place = "timestamp_roots" if fault.place == "timestamp_roots" else "timestamp_ca"
            raise error_for("configuration_invalid", f"audit.{place}", fault.expected, fault.actual) from None

    def _selection(self) -> Selection:
        return Selection(record=self.record, partners=self.partners, routes=self.routes, sample=self.sample)

    def signer(self) -> Signer:
        """Return the signer of checkpoints.

        Raises:
            ConfigurationError: ``configuration_invalid``: not a private key of Ed25519 or another signature
                algorithm, in a file that others cannot read; ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``: a KMS or a token, where ``log_key`` is not given.
        """
        return signer_of(self)

    def public_key(self) -> NoteKey:
        """Return the log's public key; raises as :meth:`signer` does."""
        return log_key_of(self)

    def check_files(self) -> None:
        """Look at the files that the settings name, and ask nobody.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        folder = Path(self.folder)
        if folder.exists() and not folder.is_dir():
            raise error_for("configuration_invalid", "audit.folder", "a folder", "a file")
        check_signer(self)
        self.keys()
        self.timestamp_authority()
        self.asked_witnesses()

    def keys(self) -> ContentKeys | None:
        """Return the keys of what is stored beside records, or None where it is in clear.

        Raises:
            ConfigurationError: ``configuration_invalid``: no key of 32 octets in a file of the owner's own.
        """
        if not self.content_keys:
            return None
        try:
            operator_key = read_operator_key(self.content_key_file)
        except RapidJWSError as fault:
            raise error_for(
                "configuration_invalid", "audit.content_key_file", fault.expected, fault.actual
            ) from None
        return ContentKeys(self.content_keys, operator_key, per=self.content_key_per)

    def sequencer(self, events: EventListener = no_events) -> Sequencer:
        """Return the sequencer of the trail, which nobody else may have."""
        writer = TrailWriter(
            self.folder,
            origin=self.origin,
            signer=self.signer(),
            durable=self.durability == "durable",
            events=events,
        )
        schedules: list[Schedule] = [
            WitnessSchedule(writer.folder, writer.key, one, every_s=self.witness_every_s, events=events)
            for one in self.asked_witnesses()
        ]
        authority = self.timestamp_authority()
        if authority is not None:
            every_s = self.timestamp_every_s
            schedules.append(
                TimestampSchedule(writer.folder, writer.key, authority, every_s=every_s, events=events)
            )
        return Sequencer(
            writer,
            schedules=schedules,
            checkpoint_s=self.checkpoint_s,
            checkpoint_records=self.checkpoint_records,
            keys=self.keys(),
            retention_days=self.retention_days,
        )

    def client(self) -> SequencerClient:
        """Return a worker's connection to the sequencer."""
        return SequencerClient(
            Path(self.folder) / SOCKET,
            durable=self.durability == "durable",
            queue_records=self.queue_records,
            flush_ms=self.flush_ms,
        )

    def recorder(self, engine: Engine, client: SequencerClient) -> DecisionRecorder:
        """Return the recorder of a worker's decisions."""
        client.keep_count()
        return DecisionRecorder(
            engine,
            client,
            on_failure=self.on_failure,
            content=self.content,
            claims=self.claims,
            selection=self._selection(),
            timeout_s=self.timeout_s,
        )
