"""The settings of the tables of the token and the signing service of the file for ``rapidjws issue``."""

from __future__ import annotations

from typing import Final

from rapidjws.config.issuing_setting import Setting
from rapidjws.config.schema import SWITCH, TEXT, TEXTS, WHOLE

TOKEN: Final[dict[str, Setting]] = {
    "endpoint": Setting(
        TEXT,
        "the token endpoint's URL, which assertions may name in `aud`",
        "`issuer` with `/token`",
        "an https URL",
        '"https://issuer.example/token"',
    ),
    "lifetime_s": Setting(
        WHOLE, "life of a token", "300 or `token_lifetime_s`, the lesser", "1 to `token_lifetime_s`", "300"
    ),
    "assertion_lifetime_s": Setting(
        WHOLE, "longest time until the `exp` of a client's assertion", "300", "1 to 3600", "60"
    ),
    "leeway_s": Setting(WHOLE, "clock difference forgiven in given tokens", "10", "0 to 300", "10"),
    "act_depth": Setting(WHOLE, "most actors in one token", "4", "1 to 8", "4"),
    "replay_redis": Setting(
        TEXT,
        "Redis where the `jti` of assertions are recorded, for more than one process",
        "this process's memory",
        "`redis://`, `rediss://` or `unix://`",
        '"redis://127.0.0.1:6379/0"',
    ),
    "subject_config": Setting(
        TEXT,
        "configuration of `rapidjws serve` whose issuers' tokens may be exchanged, beside our own",
        "our own only",
        "a path",
        '"rapidjws.toml"',
    ),
    "mtls_header": Setting(
        TEXT, "header in which a gateway hands a client's certificate on", "none", "a name", '"client-cert"'
    ),
    "mtls_form": Setting(
        TEXT,
        "how the header is written",
        "`rfc9440`",
        "`rfc9440`, `pem` (nginx), `xfcc` (Envoy)",
        '"rfc9440"',
    ),
    "mtls_gateways": Setting(
        TEXTS,
        "whose header counts: where gateways connect from",
        "required with `mtls_header`",
        "addresses, networks, or `unix`",
        '["10.0.0.0/8"]',
    ),
    "audit_file": Setting(
        TEXT,
        "file with a line for each signature; one that cannot be recorded does not leave",
        "none",
        "a path",
        '"signatures.jsonl"',
    ),
    "insecure_allow_basic": Setting(
        SWITCH, "whether clients may have a shared secret: for tests only", "`false`", "any", "false"
    ),
}
CLIENTS: Final[dict[str, Setting]] = {
    "client_id": Setting(TEXT, "its name", "required", "visible ASCII characters, each once", '"orders"'),
    "audiences": Setting(
        TEXTS,
        "for whom it may get tokens",
        "required, unless `grants` is empty",
        "values of `aud`",
        '["https://stock.example"]',
    ),
    "scopes": Setting(TEXTS, "most that its tokens hold", "none", "scope-tokens", '["read"]'),
    "authentication": Setting(
        TEXT,
        "how it is authenticated",
        "`private_key_jwt`",
        "`private_key_jwt`, `tls_client_auth`, `client_secret_basic`",
        '"private_key_jwt"',
    ),
    "keys_file": Setting(
        TEXT, "its public keys, for `private_key_jwt`", "none", "a JWK Set, JWK or PEM", '"orders.jwks"'
    ),
    "algorithms": Setting(
        TEXTS, "what its assertions are signed by", "`ES256`", "algorithms with public keys", '["ES256"]'
    ),
    "certificates": Setting(
        TEXTS,
        "SHA-256 thumbprints of its certificates, for `tls_client_auth`",
        "none",
        "base64url, 43 characters",
        '["bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"]',
    ),
    "uris": Setting(
        TEXTS,
        "URIs of its certificates, for `tls_client_auth`",
        "none",
        "absolute URIs",
        '["spiffe://example.org/orders"]',
    ),
    "secret_file": Setting(
        TEXT,
        "file with its secret, for `client_secret_basic`",
        "none",
        "a file that only its owner reads, 32 characters or more",
        '"orders.secret"',
    ),
    "grants": Setting(
        TEXTS,
        "what it may do",
        "`client_credentials`",
        "that and `urn:ietf:params:oauth:grant-type:token-exchange`; `[]` for one that only signs",
        '["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]',
    ),
    "subject_issuers": Setting(
        TEXTS, "whose tokens it may exchange", "none", "`iss` values", '["https://issuer.example"]'
    ),
    "subject_audiences": Setting(
        TEXTS,
        "names of its own in the `aud` of tokens that it received",
        "its `client_id`",
        "values of `aud`",
        '["https://orders.example"]',
    ),
    "exchange_scopes": Setting(
        TEXTS,
        "scopes that an exchange gives though the subject token lacks them",
        "none",
        "some of `scopes`",
        '["read"]',
    ),
    "may_impersonate": Setting(SWITCH, "whether it may get tokens without `act`", "`false`", "any", "false"),
    "lifetime_s": Setting(WHOLE, "life of its tokens", "that of `token`", "1 to `token_lifetime_s`", "60"),
}
SIGNING_SERVICE: Final[dict[str, Setting]] = {
    "endpoint": Setting(
        TEXT,
        "the signing endpoint's URL, which assertions must name in `aud`",
        "`issuer` with `/sign`",
        "an https URL",
        '"https://issuer.example/sign"',
    ),
}
SIGNING_CLIENTS: Final[dict[str, Setting]] = {
    "client_id": Setting(TEXT, "one of `clients`", "required", "each once", '"orders"'),
    "typ": Setting(
        TEXTS,
        "values that the `typ` of its headers may have",
        "required",
        "not `at+jwt`, unless `may_issue`",
        '["order+jwt"]',
    ),
    "algorithms": Setting(
        TEXTS, "by which of the issuer's keys it may sign", "`ES256`", "some of `algorithms`", '["ES256"]'
    ),
    "kids": Setting(
        TEXTS,
        "by which keys alone; a rotation to another one refuses it",
        "each key that is active",
        "names of keys",
        '["2026-11"]',
    ),
    "max_payload_bytes": Setting(WHOLE, "largest payload", "8192", "1 to 32768", "8192"),
    "may_issue": Setting(
        SWITCH,
        "whether it may sign tokens of the issuer, with any claims: payloads with its `iss`, and `at+jwt`",
        "`false`",
        "any",
        "false",
    ),
}
