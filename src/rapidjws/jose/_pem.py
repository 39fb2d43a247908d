"""One key out of PEM text, as RFC 7468 permits it; what is no such text is named, with what converts it.

Text may stand around the block (RFC 7468 s.2). Two keys are refused: which one is meant?
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NoReturn

from rapidjws.errors import error_for
from rapidjws.jose import _der

_BEGIN: Final = b"-----BEGIN "
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 .]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_BODY: Final = re.compile(rb"\s[A-Za-z0-9+/=\s]+", re.ASCII)
_PUBLIC: Final = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"})
_PRIVATE: Final = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})
_PLACE: Final = "pem"
_CONVERT: Final = {  # label -> the command that makes a readable one of it
    "OPENSSH PRIVATE KEY": "PKCS#8: ssh-keygen -p -m PKCS8 -f FILE",
    "ENCRYPTED PRIVATE KEY": "a plain key: openssl pkey -in FILE -out PLAIN",
    "CERTIFICATE REQUEST": "a public key: openssl req -in FILE -pubkey -noout",
    "NEW CERTIFICATE REQUEST": "a public key: openssl req -in FILE -pubkey -noout",
    "X509 CERTIFICATE": "the label CERTIFICATE: openssl x509 -in FILE",
    "X.509 CERTIFICATE": "the label CERTIFICATE: openssl x509 -in FILE",
    "TRUSTED CERTIFICATE": "the label CERTIFICATE: openssl x509 -in FILE",
    "PKCS7": "one certificate: openssl pkcs7 -in FILE -print_certs",
    "CMS": "one certificate: openssl pkcs7 -in FILE -print_certs",
    "EC PARAMETERS": "a key: the parameters of a curve hold none",
    "PGP PUBLIC KEY BLOCK": "a key in PEM: PGP keys are not read",
    "PGP PRIVATE KEY BLOCK": "a key in PEM: PGP keys are not read",
}
_SSH: Final = re.compile(rb"(?:^|[\s,\"])(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+ +AAAA")


def der_from_pem(raw: bytes, *, private: bool) -> bytes:
    """Return the DER of the one key in a text.

    Args:
        raw: The text; what stands before and after the block is not looked at.
        private: Which half is wanted.

    Raises:
        KeyRefused: key_malformed, key_private (a private key where a public one is due), key_unsupported.

    Source: RFC 7468 s.2, s.3.
    """
    if b"PRIVATE KEY-----" in raw and not private:
        raise error_for("key_private", _PLACE, "a public key", "a private key")
    blocks = [(match.group(1).decode("ascii"), match.group(2)) for match in _BLOCK.finditer(raw)]
    begun = raw.count(_BEGIN)
    if [label for label, _ in blocks] == ["EC PARAMETERS", "EC PRIVATE KEY"]:
        del blocks[0]  # as `openssl ecparam -genkey` writes it; the key names its curve as well
        begun -= 1
    if len(blocks) != 1 or begun != 1:
        _refuse_text(raw, [label for label, _ in blocks])
    label, body = blocks[0]
    if label not in (_PRIVATE if private else _PUBLIC):
        wanted = _CONVERT.get(label, " or ".join(sorted(_PRIVATE if private else _PUBLIC)))
        raise error_for("key_unsupported", _PLACE, wanted, label)
    if b"ENCRYPTED" in body:  # RFC 1421 s.4.6.1.1: Proc-Type: 4,ENCRYPTED
        raise error_for("key_unsupported", _PLACE, _CONVERT["ENCRYPTED PRIVATE KEY"], f"an encrypted {label}")
    if _BODY.fullmatch(body) is None:
        _refuse_body(raw, body)
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise error_for("key_malformed", _PLACE, "base64 between the lines") from None
    return _labelled(der, label)


def _labelled(der: bytes, label: str) -> bytes:
    """Return the content of a block whose label says what it is (RFC 7468 s.4 to s.13)."""
    found = _der.label_of(der)
    if found is not None and found != label:
        article = "an" if found[0] in "ER" else "a"
        raise error_for("key_malformed", _PLACE, f"{label}, as the label says", f"{article} {found}")
    return der


def _refuse_body(raw: bytes, body: bytes) -> NoReturn:
    """Refuse a block whose lines are not base64, saying why."""
    if b"\\n" in body or b"\\r" in body:
        expected, actual = "line breaks: text.replace('\\n', chr(10))", "backslash and n"
    elif body[:1].isalnum():  # RFC 7468 s.3: a line of its own
        expected, actual = "a line break after BEGIN and before END", "one line"
    else:
        expected, actual = "base64 between the lines", "another text"
    raise error_for("key_malformed", _PLACE, expected, actual)


def _refuse_text(raw: bytes, labels: list[str]) -> NoReturn:
    """Refuse a text that does not hold exactly one block, saying what it is."""
    if labels:
        more = "" if raw.count(_BEGIN) == len(labels) else " and one without its END"
        found = f"{len(labels)} blocks: {', '.join(labels[:4])}{more}"
        raise error_for("key_malformed", _PLACE, "exactly one PEM block: pass the one that is meant", found)
    start = raw.lstrip()[:1]
    if b"\0" in raw[:64] and b"B\0E\0G\0I\0N" in raw:
        expected, actual = "UTF-8: text.encode('utf-8')", "UTF-16 text"
    elif b"---- BEGIN SSH2 PUBLIC KEY" in raw:
        expected, actual = "PEM: ssh-keygen -i -f FILE, then ssh-keygen -e -m PKCS8", "an SSH2 public key"
    elif _SSH.search(raw):
        expected, actual = "PEM: ssh-keygen -e -m PKCS8 -f FILE", "an SSH public key"
    elif start in (b"{", b"["):
        expected, actual = "PEM, or JWK.from_json", "JSON text"
    elif _der.label_of(raw) is not None:
        expected, actual = "PEM, or JWK.from_der", "DER"
    elif _der.label_of(_decoded(raw)) is not None:
        expected, actual = "PEM, or JWK.from_der(base64.b64decode(text))", "base64 of DER, without its lines"
    elif _BEGIN in raw:
        expected, actual = "exactly one PEM block", "a BEGIN without its END"
    else:
        expected, actual = "exactly one PEM block", "no BEGIN line"
    raise error_for("key_malformed", _PLACE, expected, actual)


def _decoded(raw: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error:
        return b""
