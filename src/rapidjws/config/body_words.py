"""The settings of the table ``server.body``: their types, their words, and an example."""

from __future__ import annotations

from typing import Final

from rapidjws.config.words import Words

SECTION: Final = "server.body"

_TEXT: Final = "text"
_TEXTS: Final = "texts"

FIELDS: Final = {
    "routes": _TEXTS,
    "member": _TEXT,
    "form_field": _TEXT,
    "unsigned": _TEXT,
    "signature_headers": _TEXTS,
    "scheme": _TEXT,
    **dict.fromkeys(("digest_claim", "digest_algorithm", "digest_encoding", "digest_prefix"), _TEXT),
    **dict.fromkeys(("payload", "payload_names_in"), _TEXT),
    "required_headers": _TEXTS,
    "crit_checks": "a table of claims",
    "crit_optional": _TEXTS,
    **dict.fromkeys(("jwks_file", "jwks_url", "cache_file"), _TEXT),
    "x5c_roots": _TEXTS,
    "x5c_policy": _TEXT,
    "algorithms": _TEXTS,
    "replay_identity": _TEXT,
    "replay_keep_s": "a whole number",
    "replay_on_failure": _TEXT,
    **dict.fromkeys(("nonce_secrets_file", "nonce_place", "nonce_member", "nonce_on_failure"), _TEXT),
    "nonce_lifetime_s": "a whole number",
    "nonce_required": "true or false",
    "empty_body": "true or false",
}
"""Setting -> its type, in the words of ``schema``."""

_DETACHED: Final = "only with `signature_headers`"

WORDS: Final = {
    "routes": Words(
        "paths whose requests are decided by their body; all others by their token",
        "`/like/this`, or `/like/this/*` for all below",
        "all requests",
    ),
    "member": Words("member of a JSON body that is the JWS", "a JSON Pointer, `/signedPayload`"),
    "form_field": Words("field of an urlencoded body that is the JWS", "a field's name"),
    "unsigned": Words(
        "what becomes of a body with members or fields that nobody signed: the gateway hands them on too",
        "`refuse` or `pass`",
    ),
    "signature_headers": Words(
        "headers of the JWS, of which a request may have one; without them, `member` and `form_field` the "
        "body is the JWS",
        "header names (RFC 9110)",
    ),
    "scheme": Words("scheme before the JWS in its header", "letters; empty for none"),
    "digest_claim": Words(
        "claim with a digest of the body: the header then holds a whole JWS, of an issuer's token",
        f"a JSON Pointer, `/request_body_sha256`; {_DETACHED}",
    ),
    "digest_algorithm": Words("its digest", "`sha256`, `sha384` or `sha512`"),
    "digest_encoding": Words("how it is written", "`hex`, `base64` or `base64url`"),
    "digest_prefix": Words("what stands before it", "any text, `sha256=`"),
    "payload": Words(
        "what the signature in a header covers: the body; method, path, headers and body in lines "
        "(TrueLayer); what `sigD` says (JAdES)",
        "`body`, `request_lines` or `sig_d`",
    ),
    "payload_names_in": Words(
        "header parameter that lists the signed headers", "a name; only with `request_lines`"
    ),
    "required_headers": Words(
        "headers that must be signed", "header names; only with `request_lines` or `sig_d`"
    ),
    "crit_checks": Words(
        "critical header parameters that a sender must list in `crit`, and what each must be",
        "as `claims` of an issuer, or `{ max_age_s = 300 }` for a date; only with the senders' keys",
        "none: `b64` alone may be critical",
    ),
    "crit_optional": Words(
        "those of `crit_checks` that a message may leave away; one that is there is checked as any other",
        "names of `crit_checks`",
    ),
    "jwks_file": Words(
        "keys of the senders, instead of those of `issuers`; a signature beside its payload needs them",
        "a file of a JWK Set or PEM; relative to the configuration's folder",
    ),
    "jwks_url": Words("the same, fetched when due", "an https URL; only with `cache_file`"),
    "cache_file": Words(
        "file that keeps what `jwks_url` gave",
        "a file to write; relative to the configuration's folder",
    ),
    "x5c_roots": Words(
        "pinned roots, where each message brings its certificates in `x5c`",
        "files; relative to the configuration's folder",
    ),
    "x5c_policy": Words("profile of these chains", "`app_store`, `jades` or `open_finance`", "none"),
    "algorithms": Words("algorithms of these keys", "of RFC 7518 and its successors", "required with them"),
    "replay_identity": Words(
        "identifier by which a body is used once, kept as `replay` says",
        "a JSON Pointer into the payload, `/jti`, or `digest`",
        "none: no such demand",
    ),
    "replay_keep_s": Words("how long a use is remembered", "1 to 34560000"),
    "replay_on_failure": Words("what a replay store that cannot tell means", "`deny` or `accept`"),
    "nonce_secrets_file": Words(
        "secrets of the nonces that senders sign, one a line; the first makes them, all check them; a use is "
        "kept as `replay` says",
        "a file; relative to the configuration's folder; 32 characters or more a line",
        "none: no nonces",
    ),
    "nonce_place": Words(
        "where a request holds its nonce: the signed payload, the protected header, or a body that "
        "`digest_claim` or `payload` covers",
        "`claims`, `header` or `body`",
    ),
    "nonce_member": Words("the nonce in there", "a JSON Pointer"),
    "nonce_lifetime_s": Words("how long a nonce is good", "10 to 86400"),
    "nonce_required": Words("whether a request without a nonce is refused"),
    "nonce_on_failure": Words("what a replay store that cannot tell means", "`deny` or `accept`"),
    "empty_body": Words(
        "whether a body without octets may be what was signed: a gateway that does not hand on bodies "
        "would have each request verified so"
    ),
}  # fmt: skip

SECTION_WORDS: Final = (
    "Requests that `rapidjws serve` decides by a signature of their body, where the gateway hands it on: see "
    "[Signed bodies](how-to/signed-bodies.md)."
)
EXAMPLE: Final = """\
[server.body]
routes = ["/notifications/*"]
member = "/signedPayload"
replay_identity = "/notificationUUID"
"""
