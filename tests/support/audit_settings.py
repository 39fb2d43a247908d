"""Values of the settings of ``audit`` that are refused; see ``settings``."""

from __future__ import annotations

import math
from typing import Any, Final

AUDIT_REFUSED: Final[dict[str, list[Any]]] = {
    "folder": ["a" * 200],
    "origin": ["", "a+b", "two words"],
    "key_file": ["absent", "absent/absent", "a\0b"],
    "kms_key": ["alias/audit"],  # beside a key file
    "kms_regions": [["eu-west-1"]],  # without a key
    "pkcs11_module": ["/usr/lib/none.so"],  # beside a key file
    "pkcs11_token": ["log"],  # without a module
    "pkcs11_key": ["log"],
    "pkcs11_pin_file": ["pin"],
    "signer_alg": ["ES256"],  # a key file says its own
    "log_key": ["gate.example/audit+00000000+AQ=="],
    "durability": ["", "fsync"],
    "on_failure": ["", "ignore"],
    "record": ["", "some"],
    "partners": [],
    "routes": [],
    "sample": [-0.1, 1.1, math.nan],
    "content": [["jwk"], [""]],
    "claims": [["sub"]],  # without claims in content
    "content_keys": ["keys"],  # without a key file
    "content_key_file": ["content.key"],  # without a folder
    "content_key_per": ["", "day"],
    "retention_days": [-1, 36_501, math.inf, math.nan],
    "timestamp_url": ["http://tsa.example", "https://tsa.example"],  # no roots
    "timestamp_roots": ["roots.pem"],  # without a URL
    "timestamp_every_s": [0, 59, 30 * 86_400 + 1, math.inf, math.nan],
    "timestamp_ca": ["ca.pem"],  # without a URL
    "timestamp_insecure_allow_http": [True],  # without a URL
    "witnesses": [["x"], ["witness.example+00000000+BA== https://witness.example"]],
    "witness_every_s": [0, 0.9, 30 * 86_400 + 1, math.inf, math.nan],
    "witness_ca": ["ca.pem"],  # without a witness
    "witness_insecure_allow_http": [True],  # without a witness
    "timeout_s": [0, 61, math.inf, math.nan],
    "queue_records": [0, 1_000_001],
    "flush_ms": [-1, 10_001],
    "checkpoint_s": [0, 3601, math.inf, math.nan],
    "checkpoint_records": [0, 10_000_001],
}
