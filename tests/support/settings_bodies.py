"""What the settings of ``server.body`` must refuse, and what each needs beside it."""

from __future__ import annotations

from typing import Any, Final

from certified import CertifiedKey
from scratch import new_folder


def _root_file() -> str:
    """Return a file of a root."""
    path = new_folder() / "root.pem"
    path.write_text(CertifiedKey("root", is_ca=True).pem, "ascii")
    return str(path)


def _secrets_file() -> str:
    """Return a file of secrets for nonces."""
    path = new_folder() / "nonces"
    path.write_text("s" * 32, "ascii")
    return str(path)


REFUSED: Final[dict[str, list[Any]]] = {
    "routes": [[], "hooks", "/*", "/a/*/b", "/a/../*"],
    "member": ["", "signedPayload", "/~2"],
    "form_field": ["", "a\nb"],
    "unsigned": ["", "keep"],
    "signature_headers": [[], "X Y", "", "X-Original-URI"],
    "scheme": ["two words", "a\nb", "B-1"],
    "digest_claim": ["", "digest"],
    "digest_algorithm": ["", "md5"],
    "digest_encoding": ["", "base32"],
    "digest_prefix": [],
    "payload": ["", "lines"],
    "payload_names_in": [""],
    "required_headers": [[], "X Y", ""],
    "crit_checks": [
        {},
        {"alg": "x"},
        {"x": {"max_age_s": 0}},
        {"x": {"pattern": "(a+)+"}},
        {"x": {"present": False}},
        {"x": {"checked": False}},
        {"x": []},
    ],
    "crit_optional": [[], "x", ""],
    "jwks_file": ["absent", "absent/absent"],
    "jwks_url": ["", "http://a.example"],
    "cache_file": ["absent/absent"],
    "x5c_roots": ["absent"],
    "x5c_policy": ["", "appstore"],
    "algorithms": [[], "none", "XS256"],
    "replay_identity": ["", "jti"],
    "replay_keep_s": [0, 34_560_001],
    "replay_on_failure": ["", "ignore"],
    "nonce_secrets_file": ["absent"],
    "nonce_place": ["", "query"],
    "nonce_member": ["", "nonce"],
    "nonce_lifetime_s": [9, 86_401],
    "nonce_required": [False],  # without secrets
    "nonce_on_failure": ["", "ignore"],
    "empty_body": [],
}
ROOT: Final = _root_file()
_DETACHED: Final = {
    "signature_headers": "X-JWS-Signature",
    "jwks_url": "https://a.example/jwks.json",
    "cache_file": "body-keys.json",
    "algorithms": "ES256",
}
_DIGEST: Final = {"signature_headers": "X-JWS-Signature", "digest_claim": "/body_sha256"}
_NONCES: Final = {"nonce_secrets_file": _secrets_file()}
NEEDED: Final[dict[str, dict[str, str]]] = {
    "unsigned": {"member": "/signedPayload"},
    "signature_headers": _DETACHED,
    "scheme": _DETACHED,
    **dict.fromkeys(("digest_claim", "digest_algorithm", "digest_encoding", "digest_prefix"), _DIGEST),
    "payload": _DETACHED,
    "payload_names_in": {**_DETACHED, "payload": "request_lines"},
    "required_headers": {**_DETACHED, "payload": "request_lines"},
    "crit_checks": _DETACHED,
    "crit_optional": {**_DETACHED, "crit_checks": {"level": "high"}},
    "jwks_file": {"algorithms": "ES256"},
    "x5c_roots": {"algorithms": "ES256"},
    "x5c_policy": {"algorithms": "ES256", "x5c_roots": ROOT},
    **dict.fromkeys(("jwks_url", "cache_file", "algorithms"), _DETACHED),
    "nonce_place": {**_DIGEST, **_NONCES},
    **dict.fromkeys(("nonce_member", "nonce_lifetime_s", "nonce_on_failure"), _NONCES),
    "replay_keep_s": {"replay_identity": "/jti"},
    "replay_on_failure": {"replay_identity": "/jti"},
}
"""Settings of a signed body -> what they need beside them."""
