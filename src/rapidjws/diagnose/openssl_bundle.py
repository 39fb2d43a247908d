"""A folder with which anybody can check a signature by hand: the parts of a token, and the openssl commands.

For a dispute the argument must not rest on our code: verify.sh uses ``openssl`` alone. Secrets are not
written unless asked for. Source: RFC 7515 s.5.2, RFC 7518 s.3.
"""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files, _native
from rapidjws.diagnose.case import json_object
from rapidjws.diagnose.subject import read_keys
from rapidjws.errors import error_for
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwa import ALGORITHM_TABLE

if TYPE_CHECKING:
    from rapidjws.jose.jwk import JWK

SUPPORTED: Final[tuple[str, ...]] = tuple(name for name, row in ALGORITHM_TABLE.items())
"""Algorithms that a bundle is made for; ML-DSA needs openssl 3.5."""

_HEAD: Final = """#!/bin/sh
# Verify the signature of this folder's token with openssl alone.
# Prints "Verified OK" and exits 0; exits 1 where the signature does not verify, 2 where it was not tried.
# The exit status and the output of every command are checked.
fail() { echo "Verification failure" >&2; exit 1; }
stop() { echo "not verified: $1" >&2; exit 2; }
here=$(dirname -- "$0") || stop "dirname failed"
[ -n "$here" ] || stop "dirname printed nothing"
CDPATH='' cd -- "$here" || stop "the folder cannot be entered"
openssl version >/dev/null || stop "the openssl command does not run"
for name in signing_input signature.bin; do [ -r "$name" ] || stop "$name cannot be read"; done
[ -s signing_input ] || stop "signing_input is empty"
[ -s signature.bin ] || fail
"""
_DGST: Final = (
    "[ -s public_key.pem ] || stop 'public_key.pem is empty or absent'\n"
    "output=$(openssl dgst -{digest} {options}-verify public_key.pem \\\n"
    "    -signature {signature} signing_input) || fail\n"
    "[ \"$output\" = 'Verified OK' ] || fail\necho 'Verified OK'\n"
)
_PKEYUTL: Final = (
    "[ -s public_key.pem ] || stop 'public_key.pem is empty or absent'\n"
    "output=$(openssl pkeyutl -verify -pubin -inkey public_key.pem -rawin -in signing_input \\\n"
    "    -sigfile signature.bin) || fail\n"
    "[ \"$output\" = 'Signature Verified Successfully' ] || fail\necho 'Verified OK'\n"
)
_PSS: Final = (
    "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sigopt rsa_mgf1_md:{digest} \\\n    "
)
_HMAC: Final = """# The secret is read from RAPIDJWS_SECRET_HEX, or from secret.hex (hexadecimal, mode 0600).
# While openssl runs it stands in the list of processes: use a machine of your own.
secret=${{RAPIDJWS_SECRET_HEX:-}}
if [ -z "$secret" ] && [ -e secret.hex ]; then
    secret=$(cat secret.hex) || stop "secret.hex cannot be read"
fi
[ -n "$secret" ] || stop "no secret: put it into secret.hex, in hexadecimal"
case $secret in *[!0-9A-Fa-f]*) stop "the secret is not hexadecimal: digits only, no 0x, no base64" ;; esac
[ $(( ${{#secret}} % 2 )) -eq 0 ] || stop "the secret has an odd number of hexadecimal digits"
work=$(mktemp -d) || stop "mktemp failed"
[ -d "$work" ] || stop "mktemp made no folder"
trap 'rm -rf "$work"' EXIT
openssl dgst -{digest} -mac HMAC -macopt "hexkey:$secret" -binary -out "$work/mac" signing_input ||
    stop "openssl dgst failed"
made=$(openssl base64 -A -in "$work/mac") || stop "openssl base64 failed"
sent=$(openssl base64 -A -in signature.bin) || stop "openssl base64 failed"
[ ${{#made}} -eq {mac_chars} ] || stop "openssl made no MAC of {mac_bytes} bytes"
[ ${{#sent}} -eq {mac_chars} ] || fail
[ "$made" = "$sent" ] || fail
echo 'Verified OK'
"""
_COMMANDS: Final = {
    "rsa_pkcs1": _DGST.replace("{options}", "").replace("{signature}", "signature.bin"),
    "rsa_pss": _DGST.replace("{options}", _PSS).replace("{signature}", "signature.bin"),
    "ecdsa": _DGST.replace("{options}", "").replace("{signature}", "signature.der"),
    "eddsa": f"# EdDSA takes the octets themselves, not a digest of them.\n{_PKEYUTL}",
    "mldsa": f"# ML-DSA needs openssl 3.5 or later.\n{_PKEYUTL}",
    "hmac": _HMAC,
}


def verify_script(alg: str) -> str:
    """Return the text of verify.sh for an algorithm; nothing of the token stands in it."""
    row = ALGORITHM_TABLE[alg]
    mac_bytes = hashlib.new(row.digest).digest_size if row.kind == "hmac" and row.digest else 0
    mac_chars = (mac_bytes + 2) // 3 * 4
    commands = _COMMANDS[row.kind].format(digest=row.digest or "", mac_bytes=mac_bytes, mac_chars=mac_chars)
    return _HEAD + commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was written.

    Attributes:
        folder: Where.
        files: The names, in order.
        alg: The algorithm of the header.
        kid: The kid of the key that was taken, or None.
    """

    folder: Path
    files: tuple[str, ...]
    alg: str
    kid: str | None


def write_bundle(
    token: str | bytes,
    keys: Any,
    folder: Path,
    *,
    kid: str | None = None,
    body: bytes | None = None,
    include_secret: bool = False,
) -> Bundle:
    """Write a token's parts and the openssl commands that verify it.

    Args:
        token: A compact token; its signature need not be good.
        keys: The keys to choose from: a set, JWKs, or JSON.
        folder: Where to write; made where it is absent.
        kid: The kid to take instead of the header's.
        body: The payload of a detached token.
        include_secret: Whether an HMAC secret is written (``secret.hex``, mode 0600).

    Returns:
        What was written.

    Raises:
        MalformedToken: ``malformed_token``, ``malformed_base64url`` or ``malformed_header``.
        HeaderRefused: ``unsupported_algorithm``.
        UnknownKey: ``unknown_kid``, ``ambiguous_key`` or ``no_suitable_key``.
        KeySetRefused: As ``JWKSet.from_json``.
        OSError: The folder cannot be written.
    """
    text = token.decode("ascii", "replace") if isinstance(token, bytes) else token
    parts = text.strip().split(".")
    if len(parts) != 3:
        raise error_for("malformed_token", "token", "three parts between two dots", f"{len(parts)} parts")
    decoded = [
        _decoded(name, part) for name, part in zip(("header", "payload", "signature"), parts, strict=True)
    ]
    header, payload, signature = decoded
    members = json_object(header)
    if not isinstance(members, dict):
        raise error_for("malformed_header", "header", "a JSON object")
    alg = members.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHM_TABLE:
        raise error_for("unsupported_algorithm", "header.alg", None, str(alg)[:40])
    jwk = _choose(keys, alg, kid or members.get("kid"))
    unencoded = members.get("b64") is False
    body_text = parts[1].encode() or b""
    if body is not None and not parts[1]:
        payload = body
        body_text = body if unencoded else _native.b64url_encode(body)
    elif unencoded:
        payload = body_text
    octets = parts[0].encode() + b"." + body_text
    files = {"header.json": header, "payload": payload, "signing_input": octets, "signature.bin": signature}
    files |= _key_files(jwk, alg, signature, include_secret=include_secret)
    _write_all(folder, files, alg)
    return Bundle(folder=folder, files=(*files, "verify.sh"), alg=alg, kid=jwk.kid)


def _decoded(name: str, part: str) -> bytes:
    """Return a part's octets."""
    found = _native.b64url_decode(part.encode("utf-8", "replace"))
    if found is None:
        raise error_for("malformed_base64url", name)
    return found


def _choose(keys: Any, alg: str, kid: Any) -> JWK:
    """Return the key of a kid whatever algorithm it is bound to: a dispute may be about just that."""
    found = read_keys(keys)
    if isinstance(kid, str):
        named = found.get(kid)
        if named is None:
            raise error_for("unknown_kid", "header.kid", None, kid)
        if named.kty != ALGORITHM_TABLE[alg].kty:
            raise error_for("key_alg_mismatch", "header.alg", named.algorithms, alg)
        return named
    return found.select(alg=alg, kid=None)


def _key_files(jwk: JWK, alg: str, signature: bytes, *, include_secret: bool) -> dict[str, bytes]:
    """Return the files that hold the key, and the signature as openssl takes it."""
    if jwk.is_symmetric:
        return {"secret.hex": jwk.material[0].hex().encode()} if include_secret else {}
    from cryptography.hazmat.primitives import serialization

    pem = pyca_keys.public_key(jwk).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    files = {"public_key.pem": bytes(pem), "public_key.json": json.dumps(jwk.public().as_dict()).encode()}
    if ALGORITHM_TABLE[alg].kind == "ecdsa":
        files["signature.der"] = _der(signature)
    return files


def _der(signature: bytes) -> bytes:
    """Return R || S in DER; a signature that is no two halves as it stands, to fail in openssl too."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    half, odd = divmod(len(signature), 2)
    if odd or not half:
        return signature
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return encode_dss_signature(r, s)


def _write_all(folder: Path, files: dict[str, bytes], alg: str) -> None:
    """Write the files and the script of the algorithm."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, octets in files.items():
        _write(folder / name, octets, secret=name == "secret.hex")
    _write(folder / "verify.sh", verify_script(alg).encode())
    (folder / "verify.sh").chmod(0o755)


def _write(path: Path, octets: bytes, *, secret: bool = False) -> None:
    """Write a file; a secret for its owner's eyes only."""
    mode = stat.S_IRUSR | stat.S_IWUSR if secret else 0o644
    _files.replace(path, octets, mode=mode, sync=False)
