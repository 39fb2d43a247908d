"""The settings of the section ``audit`` with their types, in the words of ``schema``."""

from __future__ import annotations

from typing import Final

TEXT: Final = "text"
TEXTS: Final = "texts"
WHOLE: Final = "a whole number"
NUMBER: Final = "a number"
SWITCH: Final = "true or false"

AUDIT_TYPES: Final = {
    "folder": TEXT,
    "origin": TEXT,
    "key_file": TEXT,
    "kms_key": TEXT,
    "kms_regions": TEXTS,
    "pkcs11_module": TEXT,
    "pkcs11_token": TEXT,
    "pkcs11_key": TEXT,
    "pkcs11_pin_file": TEXT,
    "signer_alg": TEXT,
    "log_key": TEXT,
    "durability": TEXT,
    "on_failure": TEXT,
    "record": TEXT,
    "partners": TEXTS,
    "routes": TEXTS,
    "sample": NUMBER,
    "content": TEXTS,
    "claims": TEXTS,
    "timeout_s": NUMBER,
    "queue_records": WHOLE,
    "flush_ms": WHOLE,
    "checkpoint_s": NUMBER,
    "checkpoint_records": WHOLE,
    "content_keys": TEXT,
    "content_key_file": TEXT,
    "content_key_per": TEXT,
    "retention_days": NUMBER,
    "timestamp_url": TEXT,
    "timestamp_roots": TEXT,
    "timestamp_every_s": NUMBER,
    "timestamp_ca": TEXT,
    "timestamp_insecure_allow_http": SWITCH,
    "witnesses": TEXTS,
    "witness_every_s": NUMBER,
    "witness_ca": TEXT,
    "witness_insecure_allow_http": SWITCH,
}
