"""What the settings of ``audit`` mean, beside those of bodies and senders; see ``setting_words``."""

from __future__ import annotations

from typing import Final

from rapidjws.config import body_words, introspection_words, signal_words, status_list_words
from rapidjws.config.sender_words import SENDER_EXAMPLES, SENDER_SECTIONS, SENDER_WORDS
from rapidjws.config.words import Words

AUDIT: Final = {
    "folder": Words("folder of the trail", "a folder; relative to the configuration's folder", "required"),
    "origin": Words("name of the log in its checkpoints", "visible ASCII without `+`", "required"),
    "key_file": Words(
        "private key that signs checkpoints, Ed25519 for all readers; this, `kms_key` or `pkcs11_module`",
        "a file that others cannot read; relative to the configuration's folder",
        "required without those",
    ),
    "kms_key": Words(
        "key in AWS KMS that signs checkpoints, extra `aws`",
        "its id, ARN or alias; with `kms_regions`",
        "none",
    ),
    "kms_regions": Words("regions of that key, the first one first", "names of regions", "none"),
    "pkcs11_module": Words(
        "library of the PKCS#11 token whose key signs checkpoints, extra `pkcs11`",
        "a path; with `pkcs11_token`, `pkcs11_key` and `pkcs11_pin_file`",
        "none",
    ),
    "pkcs11_token": Words("the token's label", default="none"),
    "pkcs11_key": Words("label of the private key and of its public key", default="none"),
    "pkcs11_pin_file": Words(
        "the PIN", "a file that others cannot read; relative to the configuration's folder", "none"
    ),
    "signer_alg": Words(
        "algorithm of the key in a KMS or a token",
        "ES256, ES384, ES512, RS256 to PS512",
        "that of `log_key`, or ES256",
    ),
    "log_key": Words(
        "the log's public key, of a KMS or a token: with it the service starts while those are away",
        "one word, as `rapidjws audit key --config` prints it",
        "none: asked at each start",
    ),
    "durability": Words(
        "when a decision is answered: `durable` once its record is on the disk, `buffered` before",
        "`durable` or `buffered`",
    ),
    "on_failure": Words(
        "what a permit without a record becomes: `refuse` answers 503 (`audit_unavailable`), `count` leaves "
        "it, and a gap record follows",
        "`refuse` or `count`",
    ),
    "record": Words("which decisions are recorded", "`all` or `refusals`"),
    "partners": Words("only decisions of these partners", default="all"),
    "routes": Words("only decisions of routes that begin so", default="all"),
    "sample": Words("share of accepted tokens that is recorded; refusals all are", "0 to 1"),
    "content": Words("what is stored beside records", "`token`, `claims`"),
    "claims": Words("claims that are stored with `claims` in `content`", default="none"),
    "timeout_s": Words("longest wait of a decision for its record", "above 0 to 60"),
    "queue_records": Words("records that may wait in a worker: what its kill loses", "1 to 1000000"),
    "flush_ms": Words("how long a record waits for others, `buffered`", "0 to 10000"),
    "checkpoint_s": Words("longest time between a record and its checkpoint", "0.05 to 3600"),
    "checkpoint_records": Words("most records between two checkpoints", "1 to 10000000"),
    "content_keys": Words(
        "folder of the keys that encrypt what is stored beside records (AES-256-GCM), outside of the trail",
        "a folder; relative to the configuration's folder",
        "none: in clear",
    ),
    "content_key_file": Words(
        "the operator's key, 32 octets: 64 hexadecimal digits, or a JWK of type `oct`",
        "a file that others cannot read; relative to the configuration's folder",
        "none",
    ),
    "content_key_per": Words(
        "what a key is for, and is erased with: each month, or each subject of a token that was signed",
        "`month` or `subject`",
    ),
    "retention_days": Words(
        "days that what is stored beside records is kept; records and proofs stay", "0 (for ever) to 36500"
    ),
    "timestamp_url": Words(
        "authority that stamps checkpoints (RFC 3161), extra `timestamp`", "an https URL", "none: no stamps"
    ),
    "timestamp_roots": Words(
        "certificates that its stamps must lead to; no others are trusted",
        "a PEM file; relative to the configuration's folder",
        "none",
    ),
    "timestamp_every_s": Words("time between stamps; a trail that has not grown gets none", "60 to 2592000"),
    "timestamp_ca": Words(
        "the only authorities trusted for the connection to it",
        "a PEM file; relative to the configuration's folder",
        "the system's",
    ),
    "timestamp_insecure_allow_http": Words(
        "allow http: stamps are verified all the same, what is asked is not hidden"
    ),
    "witnesses": Words(
        "witnesses that sign checkpoints (C2SP tlog-witness), `NAME+ID+KEY URL` each", "https URLs", "none"
    ),
    "witness_every_s": Words(
        "time between checkpoints that each is given; a trail that has not grown gives none", "1 to 2592000"
    ),
    "witness_ca": Words(
        "the only authorities trusted for connections to them",
        "a PEM file; relative to the configuration's folder",
        "the system's",
    ),
    "witness_insecure_allow_http": Words(
        "allow http: cosignatures are verified all the same, checkpoints are not hidden"
    ),
}  # fmt: skip
MORE_WORDS: Final = {
    body_words.SECTION: body_words.WORDS,
    **SENDER_WORDS,
    "audit": AUDIT,
    "introspection": introspection_words.WORDS,
    "status_lists": status_list_words.WORDS,
    "signals": signal_words.WORDS,
}
MORE_SECTIONS: Final = {
    body_words.SECTION: body_words.SECTION_WORDS,
    "introspection": introspection_words.SECTION_WORDS,
    "status_lists": status_list_words.SECTION_WORDS,
    "signals": signal_words.SECTION_WORDS,
    **SENDER_SECTIONS,
    "audit": "A tamper-evident log of the decisions of `rapidjws serve`: see [Audit trail](how-to/audit.md).",
}
MORE_EXAMPLES: Final = {
    body_words.SECTION: body_words.EXAMPLE,
    "introspection": introspection_words.EXAMPLE,
    "status_lists": status_list_words.EXAMPLE,
    "signals": signal_words.EXAMPLE,
    **SENDER_EXAMPLES,
    "audit": """\
[audit]
folder = "trail"
origin = "gateway1.example.com/audit"
key_file = "audit-key.json"
durability = "buffered"
sample = 0.1
""",
}
