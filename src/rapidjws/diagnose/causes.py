"""The causes that a diagnosis can name, once: what happened, what to do, who must act.

``CODES`` says what the engine refuses; a cause says which mistake made it so. Documentation is
made from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rapidjws.diagnose.values import Cause, Escalation
from rapidjws.errors import CODES


@dataclass(frozen=True, slots=True)
class CauseText:
    """One row of ``CAUSES``."""

    id: str
    escalate: Escalation
    title: str
    fix: str


_T = CauseText
_CLIENT = "Send exactly the token as it was issued: three parts, two dots, nothing around it."
_ENCODE = "The issuer must write base64url without padding (RFC 7515 section 2), in one line."
_RAW = "The issuer must write R || S, both padded to the field's size (RFC 7518 section 3.4)."
_SIGN_RECEIVED = "Whatever lies between issuer and verifier must pass the token's characters on unchanged."
_SIGNING_INPUT = "The issuer must sign the ASCII octets header '.' payload, as they stand in the token."
_CLOCK = "Synchronise the clock (NTP). Until then raise this issuer's leeway_s, with an end date."
_DATES = "The issuer must write dates as whole seconds since 1970-01-01T00:00:00Z (RFC 7519 section 2)."
_JWK = "The issuer must publish a correct JWK; until then the key cannot be used."
_KID = "Use the kid exactly as published: it is compared character by character."

_ROWS: Final = (
    # what surrounds the token
    _T("not_text", "client", "What was handed over is neither text nor bytes.", "Pass the token itself."),
    _T("empty", "client", "There is no token.", "Look where the header or variable is read."),
    _T("bearer_prefix", "client", "The scheme ('Bearer ') was left in front of the token.",
       "Cut the scheme off before verifying."),
    _T("name_prefix", "client", "A name and an equals sign stand before the token (cookie, form, variable).",
       "Parse the cookie or form; pass its value only."),
    _T("quoted", "client", "The token stands in quotation marks.", "Decode the JSON or shell string first."),
    _T("outer_whitespace", "client", "White space or a line break surrounds the token.",
       "Strip it on reading."),
    _T("trailing_separator", "client", "A comma or semicolon follows the token.", _CLIENT),
    _T("byte_order_mark", "client", "A byte order mark stands before the token.",
       "Save the file without BOM."),
    _T("utf16", "client", "The token is in UTF-16.", "Send ASCII; PowerShell's '>' writes UTF-16."),
    _T("percent_encoded", "client", "The token is percent-encoded.", "Decode the query or form value once."),
    _T("escaped_newline", "client", "A literal backslash-n stands in the token.",
       "Decode the JSON or environment string before use."),
    _T("line_breaks", "partner", "The token is wrapped into lines.", _ENCODE),
    _T("inner_whitespace", "client", "White space stands inside the token.", _CLIENT),
    _T("invisible_character", "client", "Invisible characters stand in the token.",
       "Copy the token from its source, not from a document or a chat."),
    _T("typographic_character", "client", "A typographic dash or quote replaced an ASCII character.",
       "Copy the token from its source, not from a document or a chat."),
    _T("elided", "client", "The middle or the end was replaced by dots for display.",
       "Copy the whole token."),
    _T("masked", "client", "The token was masked by a logger or proxy.",
       "Take the token before the masking."),
    _T("doubled", "client", "Two tokens were sent as one (a doubled Authorization header).",
       "Send the header once; look for a proxy that adds its own."),
    _T("json_serialization", "client", "A JWS JSON Serialization came where a compact one is due.",
       "Send the compact form, or verify with the JSON interface."),
    _T("encrypted_token", "partner", "This is an encrypted token (JWE), not a signed one.",
       "Ask the issuer for a signed token, or decrypt it first; the JWS may be inside."),
    _T("opaque_token", "client", "This is an opaque token: it has no dots and nothing to verify.",
       "Send the JWT (often id_token or access_token of another audience), or introspect it."),
    _T("signature_missing", "client", "The signature part is missing.",
       "Look for a limit or a split at the last dot between issuer and verifier."),
    _T("wrong_parts", "client", "The token has not three parts.", _CLIENT),
    _T("empty_part", "client", "A part of the token is empty.", _CLIENT),
    _T("padding", "partner", "A part is padded with '='.", _ENCODE),
    _T("standard_alphabet", "partner", "A part is in the standard base64 alphabet ('+', '/').", _ENCODE),
    _T("foreign_character", "client", "A character that base64url does not know stands in a part.", _CLIENT),
    _T("cut_off", "client", "A part was cut off: its length is no whole number of bytes.",
       "Look for a size limit (header buffer, column width, log line) on the way."),
    _T("trailing_bits", "security", "The last character of a part carries bits that must be zero.",
       "A changed copy of a token, or a broken encoder: refuse it, and look who sent it."),
    _T("too_large", "partner", "The token is larger than the limit.",
       "Make the token smaller, or raise max_token_bytes knowingly."),
    # the header
    _T("header_not_json", "partner", "The protected header is not JSON.", _SIGNING_INPUT),
    _T("header_encoded_twice", "partner", "The header is base64url-encoded twice.", _ENCODE),
    _T("duplicate_header_member", "security", "A member stands twice in the header.",
       "An attack on two parsers, or a broken encoder: the issuer must write each member once."),
    _T("alg_none", "security", "The token is unsecured ('none').",
       "Never accept it. If the issuer made it, its signing is switched off."),
    _T("alg_spelling", "partner", "alg is spelled differently from the registered name.",
       "The issuer must write the registered name exactly; alg is compared with case."),
    _T("alg_missing", "partner", "The header has no alg.", "The issuer must name its algorithm."),
    _T("alg_encryption", "partner", "alg is an encryption algorithm.", "Use a signature algorithm and key."),
    _T("alg_unknown", "partner", "alg is not a signature algorithm known here.", "Agree on one of the list."),
    _T("algorithm_not_allowed", "operator", "The algorithm is not among those allowed here.",
       "Add it only if the issuer announced it; otherwise refuse."),
    _T("algorithm_changed", "operator", "The issuer's own key signed, with an algorithm not allowed here.",
       "If the issuer announced the change, add the algorithm to its list."),
    _T("algorithm_confusion", "security", "A public key was used as HMAC secret: algorithm confusion.",
       "An attack. Keep the algorithm list strict, and find out who sent it."),
    _T("typ_mismatch", "client", "The token is of another type than is due here.", "Send the right token."),
    _T("id_token", "client", "An ID token was sent where an access token is due.",
       "Send the access token; an ID token is for the client that asked for it."),
    _T("crit", "partner", "The header demands an extension that is not understood here.",
       "Agree with the issuer: leave it out, or implement it."),
    _T("crit_malformed", "partner", "crit breaks its own rules.", "The issuer must mend crit."),
    _T("unencoded_payload", "partner", "The payload is unencoded (b64 false), which is not asked for here.",
       "Verify it through the detached interface, or ask for an encoded payload."),
    # the key
    _T("kid_whitespace", "operator", "The kid differs by white space or an invisible character.", _KID),
    _T("kid_case", "partner", "The kid differs by upper and lower case.", _KID),
    _T("kid_truncated", "partner", "The kid is cut off, or has something added.", _KID),
    _T("kid_encoding", "partner", "The kid is the published one in another encoding.", _KID),
    _T("kid_typo", "partner", "The kid is nearly that of a known key.", _KID),
    _T("kid_is_thumbprint", "partner", "The kid is the thumbprint of a key published under another kid.",
       _KID),
    _T("kid_renamed", "partner", "A known key signed, under a kid that is not published.", _KID),
    _T("kid_of_other_key", "partner", "Another key of the same issuer signed than the kid names.",
       "The issuer's signer names the wrong kid: usually a rotation that changed one place of two."),
    _T("kid_missing", "partner", "The header names no kid, and that is not enough here.",
       "The issuer must write kid; or publish one key an algorithm."),
    _T("kid_unknown", "partner", "No known key has this kid.",
       "Compare the kid with the issuer's JWK Set; ask which key signed."),
    _T("key_left_out", "partner", "The key is in the set, but it was left out for a fault of its own.", _JWK),
    _T("key_unused", "operator", "The key is in the set, but serves none of the allowed algorithms.",
       "Compare the key's alg, kty and crv with the algorithms configured for the issuer."),
    _T("duplicate_kid", "partner", "Two keys of the set have this kid, so neither is used.",
       "The issuer must give each key its own kid."),
    _T("ambiguous_key", "partner", "Several keys fit and the header names none.",
       "The issuer must write kid."),
    _T("key_alg_mismatch", "partner", "The named key does not serve the header's algorithm.",
       "The issuer must let the header's alg and the JWK's alg, kty and crv agree."),
    _T("no_suitable_key", "operator", "No known key serves the header's algorithm.",
       "Compare the issuer's JWK Set with the algorithms configured."),
    _T("no_keys", "operator", "There is no usable key at all.",
       "Check the key file or URL and what it answers."),
    _T("keys_not_fetched", "operator", "The issuer's keys were never fetched with success.",
       "Open the JWKS URL from this machine: name, network, TLS and what it answers."),
    _T("keys_not_refreshed", "operator", "The issuer's keys cannot be refreshed, and what is in use is old.",
       "Open the JWKS URL from this machine; a key published meanwhile is not known here."),
    _T("jwks_not_json", "operator", "What stands for the JWK Set is not one (an error page?).",
       "Open the URL and look at what it answers."),
    _T("jwks_mixed", "operator", "The JWK Set mixes secrets and public keys.",
       "Keep secrets in a set of their own."),
    _T("stale_cache", "operator", "The issuer publishes this key, but the keys in use are older.",
       "Refresh the issuer's keys now; then find out why the refresh did not run."),
    _T("key_replaced", "operator",
       "The issuer replaced the key under the same kid; the old one is in use here.",
       "Refresh now; ask the issuer to give a new key a new kid."),
    _T("key_withdrawn", "partner", "The issuer has withdrawn this key, and signed with it.",
       "The issuer's signer must move to a published key."),
    _T("other_issuer_key", "security", "A key of another issuer signed this token.",
       "Refuse it: a key speaks for its issuer only. Find out why that issuer claims to be this one."),
    _T("other_environment", "partner", "A key of another environment signed this token.",
       "Send tokens and keys of one environment: compare the JWKS URL with the issuer's."),
    _T("unknown_issuer", "operator", "No such issuer is configured.", "Configure the issuer, or refuse it."),
    _T("embedded_key", "security", "The signature fits the key that the token itself brings.",
       "Never trust jwk or x5c in a header. The issuer must publish its key."),
    # the signature
    _T("signature_der", "partner", "The ECDSA signature is in DER; JWS wants R || S.", _RAW),
    _T("signature_swapped", "partner", "The halves of the ECDSA signature are swapped.", _RAW),
    _T("signature_little_endian", "partner", "The halves of the ECDSA signature are little-endian.", _RAW),
    _T("signature_unpadded", "partner", "Leading zeros of R or S were left out.", _RAW),
    _T("signature_sign_byte", "partner", "R or S carries a sign byte (Java's BigInteger).", _RAW),
    _T("signature_encoded_twice", "partner", "The signature is encoded twice.", _ENCODE),
    _T("signature_hex", "partner", "The signature is hexadecimal text, encoded once more.", _ENCODE),
    _T("signature_text_mangled", "client", "The signature's bytes went through a text encoding (UTF-8).",
       "Treat signatures as bytes; encode them straight to base64url."),
    _T("signature_cut_off", "client", "The signature is shorter than the algorithm's.",
       "Look for a size limit on the way; the rest of the token is whole."),
    _T("signature_other_curve", "partner", "The signature has the size of another curve.",
       "The issuer signs with a key of another curve than the header says."),
    _T("signature_length", "partner", "The signature has not the algorithm's length.",
       "The issuer's signature is of another algorithm or key size than the header says."),
    _T("other_algorithm", "partner", "The key signed with another algorithm than the header says.",
       "The issuer must let alg tell what its signer does."),
    _T("other_digest", "partner", "The key signed over another digest than the algorithm's.",
       "The issuer must use the digest of the algorithm (RFC 7518 section 3.1)."),
    _T("pss_parameters", "partner", "PSS parameters differ: salt length or mask digest.",
       "The issuer must use a salt as long as the digest, and MGF1 with the same digest."),
    _T("hashed_twice", "partner", "The signing input was hashed before signing, and hashed again.",
       "Give the signer the octets, not their digest; or call its pre-hashed function."),
    _T("signed_without_header", "partner", "Only the payload was signed, not the header with it.",
       _SIGNING_INPUT),
    _T("signed_decoded", "partner", "The decoded header and payload were signed.", _SIGNING_INPUT),
    _T("signed_raw_payload", "partner", "The payload was signed unencoded, without saying so (b64).",
       _SIGNING_INPUT),
    _T("signed_padded", "partner", "The signing input was padded base64, and the padding cut off later.",
       _SIGNING_INPUT),
    _T("payload_newline", "client", "The payload lost or gained a line break after it was signed.",
       _SIGN_RECEIVED),
    _T("payload_line_endings", "client", "Line endings of the payload were changed after it was signed.",
       _SIGN_RECEIVED),
    _T("payload_bom", "client", "The payload lost or gained a byte order mark.", _SIGN_RECEIVED),
    _T("payload_reserialized", "client", "The payload was parsed and written again after it was signed.",
       _SIGN_RECEIVED),
    _T("payload_encoding", "client", "The payload's character encoding was changed after it was signed.",
       _SIGN_RECEIVED),
    _T("header_reserialized", "client", "The header was parsed and written again after it was signed.",
       _SIGN_RECEIVED),
    _T("secret_encoding", "operator", "The HMAC secret was used in another encoding by the issuer.",
       "Agree whether the secret is text or base64: it is bytes, and k is their base64url."),
    _T("secret_newline", "operator", "The issuer's HMAC secret has a line break at its end, or lacks ours.",
       "Write secret files without a final line break (printf, not echo)."),
    _T("body_signed", "client", "The signature is over the request body, not over the token's payload.",
       "Send it detached, or with the body as its payload."),
    _T("body_changed", "client", "The request body is not the payload that was signed.",
       "Compare the two with 'rapidjws diff': something on the way writes the body anew."),
    _T("payload_changed", "security", "No known key and no known mistake gives this signature.",
       "If all tokens of the issuer fail, ask it for the key that signed; one alone is to be refused."),
    # the claims
    _T("payload_not_json", "client", "The payload is not JSON, but claims are due here.",
       "Use Verifier for payloads that are not claims."),
    _T("payload_not_claims", "client", "The payload is JSON, but no object.",
       "Use Verifier for such payloads."),
    _T("payload_encoded_twice", "partner", "The payload is base64url or JSON text once more.", _ENCODE),
    _T("duplicate_claim", "security", "A claim stands twice.",
       "Two parsers could read two values: the issuer must write each claim once."),
    _T("date_milliseconds", "partner", "A date is in milliseconds or finer.", _DATES),
    _T("date_text", "partner", "A date is text.", _DATES),
    _T("date_duration", "partner", "A date is a duration, not a date.", _DATES),
    _T("date_type", "partner", "A date is no number in range.", _DATES),
    _T("claim_type", "partner", "A registered claim has the wrong type.", "The issuer must mend the claim."),
    _T("claim_misnamed", "partner", "A required claim stands under another name.",
       "The issuer must use the registered name (RFC 7519 section 4.1)."),
    _T("claim_null", "partner", "A required claim is null.", "The issuer must send a value."),
    _T("claim_missing", "partner", "A required claim is missing.",
       "The issuer must send it; or do not require it."),
    _T("issuer_spelling", "operator", "iss is the configured issuer in another spelling.",
       "Configure iss exactly as the issuer writes it: it is compared character by character."),
    _T("issuer_other", "client", "The token is from another issuer.", "Send the token of the right issuer."),
    _T("audience_spelling", "partner", "aud is a configured audience in another spelling.",
       "Let both sides write aud exactly alike: it is compared character by character."),
    _T("audience_joined", "partner", "Several audiences stand in one string.",
       "The issuer must write an array."),
    _T("audience_unset", "operator", "The token names an audience, and none is configured here.",
       "Configure the audiences of this service."),
    _T("audience_other", "client", "The token is for another service.",
       "Ask the issuer for a token of this service."),
    _T("expired", "client", "The token is old.", "Get a new token."),
    _T("expired_just_now", "client", "The token expired moments ago, by more than the leeway.",
       "Renew tokens before they expire; if it happens often, compare the clocks."),
    _T("lifetime_negative", "partner", "exp is not later than iat: the token never was valid.",
       "The issuer must add its lifetime to the time of issue."),
    _T("clock_local_time", "partner", "A clock is off by whole hours: local time was taken for UTC.",
       "The issuer must use UTC; look for a time zone applied twice or not at all."),
    _T("clock_ahead", "partner", "The issuer's clock is ahead of ours by more than the leeway.", _CLOCK),
    _T("clock_here", "operator", "The clock of this machine cannot be right.", "Set the clock (NTP)."),
    _T("activated_later", "client", "The token is meant for later use.", "Wait, or ask for one valid now."),
    _T("too_old", "client", "The token was issued too long ago.", "Get a new token."),
)  # fmt: skip

CAUSES: Final[Mapping[str, CauseText]] = MappingProxyType({row.id: row for row in _ROWS})
"""Every cause by its id."""


def cause(name: str, weight: int, evidence: str) -> Cause:
    """Build a cause of the table, or from an error code where the table has none."""
    row = CAUSES.get(name)
    if row is not None:
        return Cause(
            id=name, title=row.title, fix=row.fix, escalate=row.escalate, evidence=evidence, weight=weight
        )
    code = CODES[name]
    return Cause(
        id=name,
        title=f"{code.meaning[:1].upper()}{code.meaning[1:]}: {code.cause}",
        fix=code.fix,
        escalate="operator" if code.outcome == "indeterminate" else "partner",
        evidence=evidence,
        weight=weight,
    )
