"""The settings of the table ``introspection``: their types, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.config.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Faults = Iterator[tuple[tuple[str | int, ...], str, str | None]]

_NUMBER: Final = "a number"
_WHOLE: Final = "a whole number"
_SWITCH: Final = "true or false"
_FILE: Final = "a file; relative to the configuration's folder"

FIELDS: Final = {
    **dict.fromkeys(("url", "client_id", "client_secret_file", "client_auth", "client_key_file"), "text"),
    "client_certificate_file": "text",
    "servers": "a list of rules",
    **dict.fromkeys(("issuers", "routes", "scopes", "audience"), "texts"),
    **dict.fromkeys(("opaque_issuer", "signed_by", "on_failure", "ca"), "text"),
    "leeway_s": _WHOLE,
    **dict.fromkeys(("timeout_s", "cache_s", "negative_cache_s", "breaker_s"), _NUMBER),
    **dict.fromkeys(
        ("max_entries", "lookups_per_minute", "max_concurrent", "max_waiting", "breaker_failures"), _WHOLE
    ),
    **dict.fromkeys(("refuse_private_addresses", "insecure_allow_http"), _SWITCH),
}
"""Setting -> its type, in the words of ``schema``."""

WORDS: Final = {
    "url": Words("the introspection endpoint", "`https://`", "required"),
    "client_id": Words("our name at the server", "not empty; not for `bearer`"),
    "client_secret_file": Words("our secret, or for `bearer` the access token; read at each look-up", _FILE),
    "client_auth": Words(
        "how we authenticate: RFC 6749 section 2.3.1, RFC 6750, RFC 7523 or RFC 8705 section 2",
        "`basic`, `post`, `bearer`, `private_key_jwt` with `client_key_file`, or `tls_client_auth` with "
        "`client_certificate_file`",
    ),
    "client_certificate_file": Words(
        "certificate and private key of `tls_client_auth`; read again when it changes", f"PEM; {_FILE}"
    ),
    "servers": Words(
        "several servers: tables with `name` and the settings of this section, which then has no others; "
        "one of them at most has `opaque_issuer`",
        "each name once",
        "one server",
    ),
    "client_key_file": Words("private key of `private_key_jwt`: a JWK with `alg`, or PEM", _FILE),
    "issuers": Words("issuers on whose tokens a second opinion is due", "configured ones", "none"),
    "routes": Words("paths on which it is due, with what lies below", "`/like/this`", "all"),
    "scopes": Words("scopes of which one makes it due", "not empty each", "all tokens"),
    "opaque_issuer": Words("the server's `iss`: takes tokens that are no JWS", "not empty", "none: refused"),
    "audience": Words("what `aud` of opaque tokens must name, one of these", "not empty each", "any"),
    "signed_by": Words(
        "a configured issuer whose keys sign the answers (RFC 9701); plain ones then say nothing",
        "one of the issuers",
        "none: plain JSON",
    ),
    "on_failure": Words(
        "what no answer means for a second opinion", "`indeterminate` or `signature`"
    ),
    "leeway_s": Words("clock difference forgiven at `exp` and `nbf` of an answer", "0 to 300"),
    "timeout_s": Words("longest wait for an answer", "above 0"),
    "ca": Words("authorities of the endpoint", "a PEM file or PEM text", "the system's"),
    "cache_s": Words("longest time an active token is not asked for again, within its `exp`", "0 to 3600"),
    "negative_cache_s": Words("how long a token that is not active is remembered", "0 to 3600"),
    "max_entries": Words("most active tokens remembered; as many others", "1 to 1000000"),
    "lookups_per_minute": Words("look-ups a minute that may find no active token", "1 to 1000000"),
    "max_concurrent": Words("most look-ups at once, a worker", "1 to 256"),
    "max_waiting": Words("most requests that wait for another's look-up, a worker", "1 to 256"),
    "breaker_failures": Words("failures in a row after which the server is left alone", "1 to 1000"),
    "breaker_s": Words("for how long", "above 0 to 300"),
    "refuse_private_addresses": Words("whether private and loopback addresses are refused"),
    "insecure_allow_http": Words("whether plain http is allowed: for tests only"),
}  # fmt: skip
SECTION_WORDS: Final = "Whom `decide` asks about tokens: see [Introspection](how-to/introspection.md)."
EXAMPLE: Final = """\
[introspection]
url = "https://as.example.com/introspect"
client_id = "gateway"
client_secret_file = "introspection-secret"
opaque_issuer = "https://as.example.com"
routes = ["/payments"]
issuers = ["https://issuer.example.com"]
cache_s = 15
"""


def servers_faults(section: Any, of_table: Callable[[Any, Any, dict[str, str]], Faults]) -> Faults:
    """Yield what is wrong with the names and types of the tables in ``servers``.

    Args:
        section: The section.
        of_table: Yields what is wrong with a table, by its place and its settings.
    """
    servers = section.get("servers") if isinstance(section, dict) else None
    if not isinstance(servers, list):
        return
    if not servers:
        yield ("introspection", "servers"), "at least one", None
    fields = {"name": "text", **{name: kind for name, kind in FIELDS.items() if name != "servers"}}
    for number, table in enumerate(servers):
        yield from of_table(("introspection", "servers", number), table, fields)
