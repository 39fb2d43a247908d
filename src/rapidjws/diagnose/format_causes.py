"""Causes that name a format: what stands where a JWS, access token or JWK Set is due, and the next step."""

from __future__ import annotations

from typing import Final

from rapidjws.diagnose.values import CauseText

_T = CauseText
_GIVE_SET: Final = "Give a JWK Set: a JSON object with an array named keys (RFC 7517 section 5)."

FORMAT_CAUSES: Final = (
    # what is no compact JWS
    _T("sd_jwt", "client", "This is an SD-JWT: the part before the first '~' is the JWS (RFC 9901).",
       "Verify the part before the first '~'; check disclosures and key binding with an SD-JWT library."),
    _T("paseto", "client", "This is a PASETO, not a JWS.",
       "Use a PASETO library, or ask the issuer for a JWT."),
    _T("encrypted_token", "partner", "This is an encrypted token (JWE), not a signed one.",
       "Ask the issuer for a signed token, or decrypt it first; the JWS may be inside."),
    _T("dsse_envelope", "client", "This is a DSSE envelope, not a JWS: it signs other octets.",
       "Verify it with a DSSE library (in-toto, Sigstore)."),
    _T("http_message_signature", "client", "This is an HTTP message signature (RFC 9421), not a JWS.",
       "Verify it with an RFC 9421 library, over the components that Signature-Input lists."),
    _T("webhook_mac", "client", "This is a webhook's MAC over the body (Stripe or GitHub style), not a JWS.",
       "Verify it as the provider's page on webhooks says, with the endpoint's secret."),
    _T("provider_token", "client", "This is an opaque token of a provider: only the provider can check it.",
       "Ask the provider for it (introspection, userinfo), or send the ID token or a JWT access token."),
    _T("opaque_token", "client", "This is an opaque token: it has not the parts of a JWS.",
       "Send the JWT (often id_token or access_token of another audience), or introspect it (RFC 7662)."),
    _T("encoded_token", "client", "This is a whole token, encoded as base64 once more.",
       "Decode it once (Kubernetes secret: base64 -d); the JWS is inside."),
    _T("saml_assertion", "client", "This is XML, probably a SAML assertion, not a JWS.",
       "Use a SAML library, or ask for an OpenID Connect token."),
    _T("html_page", "client", "This is an HTML page (of a login or an error), not a token.",
       "Look at the status and address of the answer that it came from."),
    _T("basic_credentials", "client", "These are Basic credentials (a name and a password), not a token.",
       "Send 'Authorization: Bearer TOKEN'; treat the password as seen if this was logged."),
    _T("key_as_token", "client", "This is a key (PEM, JWK or JWK Set), not a token.",
       "Pass the token; keys belong to --jwks or keys=. A private key given away must be replaced."),
    _T("json_document", "client", "This is a JSON document, not a JWS.",
       "Pass the token itself; in a token response it is the member access_token or id_token."),
    _T("json_broken", "client", "This begins like JSON, but it ends early or was changed.",
       "Send the JWS JSON Serialization whole and unchanged."),
    # what is a JWS, for another purpose
    _T("dpop_proof", "client", "A DPoP proof stands where the access token is due (RFC 9449).",
       "Send the access token in Authorization and the proof in the header DPoP."),
    _T("logout_token", "client", "This is a logout token, not an access token.",
       "Send it to the back-channel logout address only; set typ='at+jwt' to refuse it everywhere else."),
    _T("security_event", "client", "This is a security event token (RFC 8417), not an access token.",
       "Deliver it to the receiver of events (RFC 8935); set typ='at+jwt' to refuse it everywhere else."),
    _T("other_purpose", "client", "The typ says that this JWT is made for another purpose.",
       "Send the access token; set typ='at+jwt' to refuse all others."),
    _T("id_token", "client", "An ID token was sent where an access token is due.",
       "Send the access token; an ID token is for the client that asked for it."),
    # what is no JWK Set
    _T("jwks_single_jwk", "operator", "What stands for the JWK Set is a single JWK.",
       'Wrap it: {"keys": [JWK]}.'),
    _T("jwks_pem", "operator", "What stands for the JWK Set is PEM.",
       "Convert it: rapidjws jwk FILE --kid KID --alg ALG, and put the JWK into {\"keys\": [...]}."),
    _T("jwks_certificate_map", "operator",
       "What stands for the JWK Set is a map of kid to certificate (as Firebase serves it).",
       "Use the issuer's JWK Set address (jwks_uri of its discovery document) instead."),
    _T("jwks_discovery_document", "operator",
       "What stands for the JWK Set is a discovery document (OpenID or OAuth server metadata).",
       "Use the address in its member jwks_uri."),
    _T("jwks_bare_array", "operator", "What stands for the JWK Set is an array without its object.",
       'Wrap it: {"keys": [...]}.'),
    _T("jwks_is_token", "operator", "What stands for the JWK Set is a token.", _GIVE_SET),
    _T("jwks_not_json", "operator", "What stands for the JWK Set is not one (an error page?).",
       "Open the URL and look at what it answers."),
    _T("jwks_mixed", "operator", "The JWK Set mixes secrets and public keys.",
       "Keep secrets in a set of their own."),
    _T("spiffe_bundle", "operator", "The key stands in a SPIFFE bundle: its use is 'jwt-svid'.",
       "Ask for SPIFFE bundles where the keys are configured; a plain JWK Set has use 'sig' or none."),
)  # fmt: skip
