"""What may really have been signed, and how a signature may have been written: one mistake at a time.

Every variant carries the cause that it would prove. What it never does: verify anything.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError
from rapidjws.jose.json_text import loads
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import JSON_MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable

Variant = tuple[str, str, bytes]
"""A cause, words for the evidence, and the octets."""

_BOM: Final = b"\xef\xbb\xbf"
_REWRITTEN_MAX_BYTES: Final = 32 * 1024
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


def signatures(signature: bytes, alg: str, key_bytes: int) -> Iterator[Variant]:
    """Yield a signature as it would be without one mistake of its writer.

    Args:
        signature: The decoded signature.
        alg: The algorithm of the header.
        key_bytes: The signature's due size in bytes.
    """
    text = signature.strip(b"=\r\n")
    if set(signature) <= _HEX and len(signature) % 2 == 0 and signature:
        yield "signature_hex", "decoded from hexadecimal text", bytes.fromhex(signature.decode())
    again = _native.b64url_decode(text.translate(bytes.maketrans(b"+/", b"-_")))
    if again:
        yield "signature_encoded_twice", "decoded once more", again
    if b"\xc2" in signature or b"\xc3" in signature:
        with contextlib.suppress(UnicodeDecodeError, UnicodeEncodeError):
            yield "signature_text_mangled", "read as UTF-8", signature.decode("utf-8").encode("latin-1")
    if ALGORITHM_TABLE[alg].kind == "ecdsa":
        yield from _ecdsa(signature, key_bytes // 2)


def _ecdsa(signature: bytes, size: int) -> Iterator[Variant]:
    """Yield R || S of an ECDSA signature that was written otherwise."""
    if signature[:1] == b"\x30":
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        try:
            r, s = decode_dss_signature(signature)
            yield "signature_der", "decoded from DER", r.to_bytes(size, "big") + s.to_bytes(size, "big")
        except (ValueError, OverflowError):
            pass
    length = len(signature)
    if length == 2 * size:
        first, second = signature[:size], signature[size:]
        yield "signature_swapped", "with its halves swapped", second + first
        yield "signature_little_endian", "with its halves reversed", first[::-1] + second[::-1]
    elif 2 * size - 4 <= length < 2 * size:
        for cut in range(max(length - size, 1), min(size, length - 1) + 1):
            first, second = signature[:cut], signature[cut:]
            yield (
                "signature_unpadded",
                "with zeros put back",
                first.rjust(size, b"\0") + second.rjust(size, b"\0"),
            )
    elif 2 * size < length <= 2 * size + 2:
        for cut in (size, size + 1):
            first, second = signature[:cut], signature[cut:]
            if len(second) in (size, size + 1) and not any(first[:-size] + second[:-size]):
                yield "signature_sign_byte", "without sign bytes", first[-size:] + second[-size:]


def signing_inputs(
    header_text: str,
    payload_text: str,
    header: bytes,
    payload: bytes,
    alg: str,
    *,
    is_unencoded: bool = False,
) -> Iterator[Variant]:
    """Yield what may have been signed instead of the signing input, each with its cause.

    Args:
        header_text: The header's base64url.
        payload_text: The payload's base64url.
        header: The header decoded.
        payload: The payload decoded.
        alg: The algorithm of the header.
        is_unencoded: Whether b64 is false: variants of the payload are then tried elsewhere.
    """
    encode = _native.b64url_encode
    head, body = header_text.encode(), payload_text.encode()
    if not is_unencoded:
        yield "signed_raw_payload", "over the unencoded payload", head + b"." + payload
        for cause, words, other in payloads(payload):
            yield cause, words, head + b"." + encode(other)
    for cause, words, other in _rewritten(header, "header_reserialized"):
        yield cause, words, encode(other) + b"." + body
    padded = base64.urlsafe_b64encode(header) + b"." + base64.urlsafe_b64encode(payload)
    yield "signed_padded", "over padded base64url", padded
    yield "signed_padded", "over standard base64", base64.b64encode(header) + b"." + base64.b64encode(payload)
    yield "signed_without_header", "over the encoded payload alone", body
    yield "signed_without_header", "over the payload alone", payload
    yield "signed_decoded", "over the decoded parts", header + b"." + payload
    yield "signed_decoded", "over the decoded parts without a dot", header + payload
    yield "signed_decoded", "over the encoded parts without a dot", head + body
    digest = ALGORITHM_TABLE[alg].digest or "sha256"
    whole = head + b"." + body
    yield "hashed_twice", "over the digest of the signing input", hashlib.new(digest, whole).digest()
    yield "hashed_twice", "over the digest in hexadecimal", hashlib.new(digest, whole).hexdigest().encode()


def payloads(payload: bytes) -> Iterator[Variant]:
    """Yield the payload as it may have been before something changed it."""
    yield "payload_newline", "with a line feed at the end", payload + b"\n"
    yield "payload_newline", "with CR LF at the end", payload + b"\r\n"
    if payload.endswith(b"\n"):
        yield "payload_newline", "without the line break at the end", payload.rstrip(b"\r\n")
    if b"\n" in payload:
        unix = payload.replace(b"\r\n", b"\n")
        yield "payload_line_endings", "with LF line endings", unix
        yield "payload_line_endings", "with CR LF line endings", unix.replace(b"\n", b"\r\n")
    bom = payload.startswith(_BOM)
    yield "payload_bom", "with another byte order mark", payload[3:] if bom else _BOM + payload
    yield from _rewritten(payload, "payload_reserialized")
    if not payload.isascii():
        yield from _recoded(payload)


def _recoded(payload: bytes) -> Iterator[Variant]:
    """Yield a payload in other encodings of its characters."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        yield "payload_encoding", "in UTF-8 for Latin-1", payload.decode("latin-1").encode("utf-8")
        return
    for form in ("NFC", "NFD"):
        yield "payload_encoding", f"normalised to {form}", unicodedata.normalize(form, text).encode()
    for name in ("latin-1", "utf-16-le"):
        try:
            yield "payload_encoding", f"in {name}", text.encode(name)
        except UnicodeEncodeError:
            continue
    with contextlib.suppress(UnicodeEncodeError, UnicodeDecodeError):
        yield "payload_encoding", "encoded to UTF-8 once", text.encode("latin-1").decode("utf-8").encode()


def _rewritten(data: bytes, cause: str) -> Iterator[Variant]:
    """Yield JSON as common writers would have written it."""
    if len(data) > _REWRITTEN_MAX_BYTES:
        return
    try:
        value = loads(data, max_bytes=len(data), max_depth=JSON_MAX_DEPTH, max_members=4096, place="json")
    except RapidJWSError:
        return
    if not isinstance(value, (dict, list)):
        return
    seen = {data}
    for words, write in _WRITERS:
        try:
            other = write(value)
        except (ValueError, TypeError, RecursionError):
            continue
        if other not in seen:
            seen.add(other)
            yield cause, f"as JSON {words}", other
    for other in _reordered(value):
        if other not in seen:
            seen.add(other)
            yield cause, "as JSON with its names in another order", other


_ORDERS: Final = (
    "iss sub aud exp nbf iat jti", "iss aud sub iat exp jti", "iss sub aud iat exp jti",
    "sub iss aud iat exp jti", "sub iat exp iss aud jti", "aud iss iat nbf exp sub jti",
    "exp iat jti iss aud sub", "jti iss sub aud iat nbf exp", "iat exp iss aud sub jti",
    "iss iat exp aud sub jti", "iss exp aud sub iat jti",
)  # fmt: skip
"""Orders in which common issuers write the registered claims."""
_PERMUTED_MOST: Final = 5


def _reordered(value: Any) -> Iterator[bytes]:
    """Yield an object whose names are sorted, which its writer need not have done, in other orders."""
    if not isinstance(value, dict) or list(value) != sorted(value):
        return
    for order in _ORDERS:
        first = [name for name in order.split() if name in value]
        names = [*first, *(name for name in value if name not in first)]
        yield _compact({name: value[name] for name in names})
    if len(value) <= _PERMUTED_MOST:
        for names_too in itertools.permutations(value):
            yield _compact({name: value[name] for name in names_too})


def _compact(value: Any) -> bytes:
    """Return JSON without white space, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _json(**options: Any) -> Callable[[Any], bytes]:
    """Return a JSON writer."""
    return lambda value: json.dumps(value, **options).encode()


_COMPACT: Final = (",", ":")


def _php(value: Any) -> bytes:
    return json.dumps(value, separators=_COMPACT).replace("/", "\\/").encode()


def _go(value: Any) -> bytes:
    text = json.dumps(value, separators=_COMPACT, ensure_ascii=False, sort_keys=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


_WRITERS: Final[tuple[tuple[str, Callable[[Any], bytes]], ...]] = (
    ("without white space", _json(separators=_COMPACT, ensure_ascii=False)),
    ("with a space after ',' and ':'", _json(ensure_ascii=False)),
    ("in ASCII without white space", _json(separators=_COMPACT)),
    ("in ASCII with spaces", _json()),
    ("with sorted names", _json(separators=_COMPACT, ensure_ascii=False, sort_keys=True)),
    ("with sorted names and spaces", _json(ensure_ascii=False, sort_keys=True)),
    ("indented by 2", _json(ensure_ascii=False, indent=2)),
    ("indented by 4", _json(ensure_ascii=False, indent=4)),
    ("with escaped slashes", _php),
    ("with sorted names and escaped HTML", _go),
    ("in ASCII with sorted names", _json(separators=_COMPACT, sort_keys=True)),
)
