"""Error codes of tokens that are bound to a sender: DPoP (RFC 9449) and mutual TLS (RFC 8705).

Rows for the table in ``errors``: code, class, reason, meaning, cause, fix, escalate. Imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws._change_codes import Row

SENDER_ROWS: Final[tuple[Row, ...]] = (
    ("dpop_proof_missing", "PolicyRefused", "policy", "a token bound to a DPoP key came without a proof",
     "A bound token sent as Bearer, by a client without DPoP or by a thief.",
     "Send it under the scheme DPoP, with one proof in the header DPoP.", True),
    ("dpop_proof_invalid", "PolicyRefused", "policy", "the DPoP proof does not hold for this request",
     "Another method, URI, token or time, a bad signature, or no proof at all; the place says which.",
     "Make a new proof for each request; check external_origins and clocks.", True),
    ("dpop_proof_replayed", "PolicyRefused", "policy", "the DPoP proof was used before",
     "A copied request, or a client that sends a proof twice.", "Make a new proof for each request.", True),
    ("dpop_nonce_required", "PolicyRefused", "policy", "the DPoP proof lacks a nonce that holds now",
     "A first request, or a nonce past its time.", "Use the nonce of the answer's header DPoP-Nonce.", False),
    ("binding_mismatch", "PolicyRefused", "policy", "the token is bound to another key or certificate",
     "A stolen token, or a client that changed its key.", "Get a new token for the key in use.", True),
    ("binding_unchecked", "PolicyRefused", "policy", "the token is bound in a way that is not checked here",
     "A cnf with another member, which the place names, or no check configured for it.",
     "Configure dpop or mtls for these tokens; have the issuer leave other members of cnf away.", True),
    ("bound_twice", "PolicyRefused", "policy", "the token is bound to a DPoP key and to a certificate",
     "An issuer that writes jkt and x5t#S256 into one cnf.",
     "Have the issuer bind each token once (RFC 7800 section 3).", True),
    ("client_certificate_missing", "PolicyRefused", "policy",
     "a token bound to a client certificate came without one",
     "No mutual TLS, or the gateway does not hand the certificate on.",
     "Check the gateway's header and trusted_peers.", True),
    ("token_not_bound", "PolicyRefused", "policy", "the token is bound to no sender",
     "A plain bearer token where a bound one is due, or a proof beside it.",
     "Ask the issuer for a bound token.", False),
)  # fmt: skip
"""Rows whose second column is the name of a class of ``errors``."""
