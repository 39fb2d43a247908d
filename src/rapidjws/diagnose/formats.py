"""What a text is where a compact JWS is due: other signature formats, opaque tokens, keys, documents.

Each is known by its octets alone; nothing is decrypted, fetched or trusted. Nothing of the text is returned
but what looks like the JWS inside it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_PASETO: Final = re.compile(r"(v[1-4]\.(?:local|public)\.)[A-Za-z0-9_-]{8,}")
_SSH_KEY: Final = re.compile(r"(?:ssh-(?:rsa|ed25519)|ecdsa-sha2-nistp\d{3}|sk-\S{4,40}) AAAA")
_HTML: Final = re.compile(r"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_RFC_9421: Final = re.compile(r"(?:[a-z*][a-z0-9_.*-]{0,40}=)(?::[A-Za-z0-9+/=]{16,}:|\(\s*\"@?[a-z])")
_STRIPE: Final = re.compile(
    r"(?:t=\d{9,11},)?(?:v\d|s|sha(?:1|256|512))=[0-9a-fA-F]{40,128}(?:,v\d=[0-9a-fA-F]+)*"
)
_BASIC: Final = re.compile(r"basic\s+[A-Za-z0-9+/]{4,}={0,2}", re.IGNORECASE)
_PROVIDERS: Final = (
    ("GitHub", re.compile(r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}")),
    ("GitLab", re.compile(r"gl[a-z]{2,6}-[A-Za-z0-9_.-]{16,}")),
    ("Google", re.compile(r"(?:ya29\.|1//0)[A-Za-z0-9._-]{16,}")),
    ("Slack", re.compile(r"xox[a-z](?:\.[a-z]+)?-[A-Za-z0-9.-]{8,}")),
    ("Vault or OpenBao", re.compile(r"(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}")),
    ("Stripe", re.compile(r"(?:sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}")),
    ("AWS", re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,}")),
    ("Microsoft (refresh token)", re.compile(r"[01]\.A[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9._-]+)?")),
    ("Facebook", re.compile(r"EAA[A-Za-z0-9]{30,}")),
    ("npm", re.compile(r"npm_[A-Za-z0-9]{30,}")),
    ("PyPI", re.compile(r"pypi-[A-Za-z0-9_-]{30,}")),
)
_COMPACT: Final = re.compile(
    rb"\s*(?:bearer\s+)?ey[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\s*", re.IGNORECASE
)
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{3,40}-----")
_TOKEN_MEMBERS: Final = ("access_token", "id_token", "token", "jwt", "refresh_token")
ENCODED_MAX_CHARS: Final = 128 * 1024
"""Longest text without dots that is tried as base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that was recognised.

    Attributes:
        id: A key of ``CAUSES``.
        text: Words for it, without anything secret.
        inner: The JWS inside it, or None.
    """

    id: str
    text: str
    inner: str | None = None


def recognise(text: str) -> Format | None:
    """Return the format of a text that is no compact JWS, or None where none is known.

    Args:
        text: What was handed over, without scheme, quotes and white space around it.
    """
    for found in _formats(text):
        if found is not None:
            return found
    return None


def _formats(text: str) -> Iterator[Format | None]:
    """Yield what each recogniser says, the surest first."""
    yield _sd_jwt(text)
    paseto = _PASETO.match(text)
    if paseto is not None:
        yield Format(id="paseto", text=f"it starts with {paseto[1]!r}: PASETO")
    if _BASIC.fullmatch(text):
        yield Format(id="basic_credentials", text="the scheme is Basic")
    if _STRIPE.fullmatch(text):
        yield Format(id="webhook_mac", text="a name, '=' and a MAC in hexadecimal")
    if _RFC_9421.match(text):
        yield Format(
            id="http_message_signature", text="a dictionary member as in Signature or Signature-Input"
        )
    if _PEM.search(text[:200]):
        yield Format(id="key_as_token", text="it begins with a PEM line")
    if _SSH_KEY.match(text):
        yield Format(id="key_as_token", text="it begins like an OpenSSH public key")
    if _HTML.match(text):
        yield Format(id="html_page", text="it begins like HTML")
    if text.startswith(("{", "[")):
        yield _document(text)
    elif text.startswith("<"):
        yield Format(id="saml_assertion", text="it starts with '<'")
    for name, pattern in _PROVIDERS:
        if pattern.fullmatch(text):
            yield Format(id="provider_token", text=f"it has the form of a token of {name}")
    if "." not in text:
        yield _encoded("".join(text.split()))  # base64 is often wrapped into lines


def _sd_jwt(text: str) -> Format | None:
    """Recognise the compact form of an SD-JWT (RFC 9901 s.4)."""
    first, tilde, rest = text.partition("~")
    if not tilde or first.count(".") != 2 or not first.startswith("ey"):
        return None
    count = sum(bool(part) for part in rest.split("~")[:-1])
    bound = "; a key binding JWT follows" if rest.split("~")[-1].count(".") == 2 else ""
    return Format(id="sd_jwt", text=f"'~' after the third part, {count} disclosures{bound}", inner=first)


def _document(text: str) -> Format | None:
    """Recognise a JSON document that is no JWS JSON Serialization (RFC 7515 s.7.2)."""
    try:
        value = json.loads(text)
    except RecursionError:
        return Format(id="json_document", text="deeply nested JSON")
    except ValueError:
        return Format(id="json_broken", text="the text starts with '{' or '[' and is not JSON")
    if not isinstance(value, dict):
        return Format(id="json_document", text="a JSON array")
    if "payloadType" in value and "signatures" in value:
        return Format(id="dsse_envelope", text="members payloadType and signatures")
    if "ciphertext" in value:
        return Format(id="encrypted_token", text="the member ciphertext: a JWE JSON Serialization (RFC 7516)")
    if "signature" in value or "signatures" in value:
        return None
    if "kty" in value or isinstance(value.get("keys"), list):
        bundle = any(str(name).startswith("spiffe_") for name in value)
        return Format(id="key_as_token", text="a SPIFFE bundle" if bundle else "a JWK or a JWK Set")
    if isinstance(value.get("jwks_uri"), str):
        return Format(id="json_document", text="a discovery document (OpenID or OAuth server metadata)")
    names = [name for name in _TOKEN_MEMBERS if isinstance(value.get(name), str)]
    inner = next((value[name] for name in names if value[name].count(".") == 2), None)
    return Format(
        id="json_document", text=f"token members: {names}" if names else "no member of a JWS", inner=inner
    )


def _encoded(text: str) -> Format | None:
    """Recognise base64 of a whole token, or of XML."""
    octets = from_base64(text) if 8 <= len(text) <= ENCODED_MAX_CHARS else None
    if octets is None:
        return None
    if _COMPACT.fullmatch(octets):
        inner = octets.decode("ascii").strip()
        return Format(id="encoded_token", text="decoded from base64 it has three parts", inner=inner)
    if octets.lstrip()[:5] == b"<?xml" or octets.lstrip()[:6].lower() in (b"<saml:", b"<saml2", b"<samlp"):
        return Format(id="saml_assertion", text="decoded from base64 it is XML")
    return None


def from_base64(text: str) -> bytes | None:
    """Return what a text decodes to from either base64 alphabet, padded or not, or None."""
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None


def begins_a_token(text: str) -> bool:
    """Say whether a text is the beginning of a compact JWS: base64url of an object's beginning."""
    octets = from_base64(text[: len(text) // 4 * 4][:64]) if len(text) >= 8 else None
    return octets is not None and re.match(rb'\s*\{\s*"', octets) is not None


_PURPOSES: Final = {
    "dpop+jwt": ("dpop_proof", "a DPoP proof"),
    "logout+jwt": ("logout_token", "a logout token"),
    "secevent+jwt": ("security_event", "a security event token"),
    "kb+jwt": ("other_purpose", "the key binding of an SD-JWT"),
    "dc+sd-jwt": ("sd_jwt", "an SD-JWT credential"),
    "vc+sd-jwt": ("sd_jwt", "an SD-JWT credential"),
    "statuslist+jwt": ("other_purpose", "a token status list"),
    "oauth-authz-req+jwt": ("other_purpose", "an authorization request (RFC 9101)"),
    "token-introspection+jwt": ("other_purpose", "an introspection response (RFC 9701)"),
    "entity-statement+jwt": ("other_purpose", "an OpenID Federation entity statement"),
    "client-authentication+jwt": ("other_purpose", "a client assertion"),
    "openid4vci-proof+jwt": ("other_purpose", "a proof for a credential issuer"),
}
"""Types registered for another purpose than access, without 'application/' (RFC 8725 s.3.11)."""
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


def purpose(header: dict[str, Any], claims: dict[str, Any] | None) -> tuple[str, str] | None:
    """Return the cause and words where a JWT says that it is made for something else than access."""
    typ = header.get("typ")
    if isinstance(typ, str):
        found = _PURPOSES.get(typ.lower().removeprefix("application/"))
        if found is not None:
            return found[0], f"typ is {typ[:40]!r}: {found[1]}"
    events = (claims or {}).get("events")
    if isinstance(events, dict) and _LOGOUT_EVENT in events:
        return "logout_token", "the claim events holds the back-channel logout event"
    if isinstance(events, dict) and events and "toe" in (claims or {}):
        return "security_event", "the claims events and toe"
    if isinstance((claims or {}).get("htm"), str) and isinstance((claims or {}).get("htu"), str):
        return "dpop_proof", "the claims htm and htu"
    return None
