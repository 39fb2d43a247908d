"""The settings of the table ``signals``: their types, and what they mean."""

from __future__ import annotations

from typing import Final

from rapidjws.config.words import Words

_FILE: Final = "a file; relative to the configuration's folder"

FIELDS: Final = {
    **dict.fromkeys(("issuers", "audience"), "texts"),
    **dict.fromkeys(("push_path", "logout_path", "secret_file"), "text"),
    **dict.fromkeys(("revocation_path", "revocation_secret_file"), "text"),
    **dict.fromkeys(("poll_url", "poll_authorization_file", "ca"), "text"),
    "poll_s": "a number",
    "insecure_allow_http": "true or false",
}
"""Setting -> its type, in the words of ``schema``."""

WORDS: Final = {
    "issuers": Words("issuers whose signals are taken, by the same keys", "configured", "required"),
    "audience": Words("what `aud` of a signal must name, one of these", "not empty each", "required"),
    "push_path": Words("path of the endpoint for Security Event Tokens (RFC 8935)", "`/like/this`"),
    "logout_path": Words("path of the back-channel logout URI", "`/like/this`", "none"),
    "revocation_path": Words("path at which a server says what it revoked", "`/like/this`", "none"),
    "revocation_secret_file": Words("what it shows as bearer token, 32 characters or more", _FILE, "none"),
    "secret_file": Words("what a transmitter shows as bearer token, 32 characters or more", _FILE, "none"),
    "poll_url": Words("the transmitter's polling endpoint (RFC 8936)", "`https://`", "none: no polling"),
    "poll_authorization_file": Words("our bearer token for it; read again at each poll", _FILE, "none"),
    "poll_s": Words("time between two polls", "0.1 to 86400"),
    "ca": Words("authorities of the polling endpoint", "a PEM file or PEM text", "the system's"),
    "insecure_allow_http": Words("whether plain http is polled: for tests only"),
}  # fmt: skip
SECTION_WORDS: Final = (
    "Signals that revoke, taken by `rapidjws serve`: see [Revocation signals](how-to/revocation-signals.md)."
)
EXAMPLE: Final = """\
[signals]
issuers = ["https://issuer.example.com"]
audience = "https://api.example.com"
push_path = "/signals"
logout_path = "/backchannel-logout"
"""
