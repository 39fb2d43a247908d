"""What the settings of ``dpop`` and ``mtls`` mean, in words; see ``setting_words``."""

from __future__ import annotations

from typing import Final

from rapidjws.config.words import Words

DPOP: Final = {
    "external_origins": Words(
        "URL under which clients reach the service; of several the request's Host chooses one",
        "`https://host`, with a path where the gateway strips one",
        "required",
    ),
    "algorithms": Words("algorithms that proofs may have", "asymmetric ones"),
    "max_age_s": Words("oldest `iat` of a proof", "1 to 3600"),
    "leeway_s": Words("clock difference forgiven, both ways", "0 to 300"),
    "replay_on_failure": Words(
        "what a replay store that cannot tell means", "`deny` or `accept`", "`deny`"
    ),
    "nonce_secrets_file": Words(
        "secrets of nonces, one a line; the first makes them, all check them",
        "a file; relative to the configuration's folder; 32 characters or more a line",
        "none: no nonces",
    ),
    "nonce_period_s": Words("how long a nonce is given out; it holds one period more", "10 to 86400"),
    "nonce_required": Words("whether a proof without a nonce is refused"),
    "max_keys": Words("most keys of clients that are kept ready", "1 to 65536"),
}  # fmt: skip
MTLS: Final = {
    "form": Words(
        "how the gateway writes the certificate: Envoy's header, PEM as nginx escapes it, DER in base64",
        "`xfcc`, `pem` or `der`",
    ),
    "header": Words(
        "header of the certificate; the gateway must overwrite it",
        "a header name (RFC 9110)",
        "`x-forwarded-client-cert` for `xfcc`, else `x-client-cert`",
    ),
    "elements": Words(
        "elements of Envoy's header: one for each Envoy on the way; the first names the client", "1 to 16"
    ),
    "trusted_peers": Words(
        "gateways whose header is believed", "addresses, networks, `unix` for a Unix socket", "required"
    ),
}
SENDER_WORDS: Final = {"dpop": DPOP, "mtls": MTLS}
SENDER_SECTIONS: Final = {
    "dpop": "How DPoP proofs are checked: see [Sender-constrained tokens](how-to/sender-constrained.md).",
    "mtls": "Where the client's certificate comes from, for tokens that are bound to one (RFC 8705).",
}
SENDER_EXAMPLES: Final = {
    "dpop": """\
[dpop]
external_origins = "https://api.example.com"
algorithms = ["ES256", "EdDSA"]
max_age_s = 60
""",
    "mtls": """\
[mtls]
form = "xfcc"
trusted_peers = ["10.0.0.0/8", "unix"]
""",
}
