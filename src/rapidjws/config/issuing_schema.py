"""The settings of the file for ``rapidjws issue``, each once: type, default, what is allowed, an example."""

from __future__ import annotations

from typing import Final

from rapidjws.config.issuing_setting import TABLE, Setting
from rapidjws.config.issuing_token_schema import CLIENTS, SIGNING_CLIENTS, SIGNING_SERVICE, TOKEN
from rapidjws.config.schema import NUMBER, SWITCH, TEXT, TEXTS, WHOLE

KEY_PLACES: Final = ("key_folder", "kms_regions", "pkcs11_module")
"""Settings that say where private keys are, of which a file has one."""

ISSUING: Final[dict[str, Setting]] = {
    "issuer": Setting(
        TEXT,
        "the `iss` of all tokens",
        "required",
        "an https URL without query and fragment",
        '"https://issuer.example"',
    ),
    "algorithms": Setting(
        TEXTS,
        "what is signed by; the first is the default, two during a migration",
        "`ES256`",
        "signature algorithms with public keys",
        '["ES256"]',
    ),
    "algorithm_of": Setting(
        TABLE,
        "audience to algorithm, for those that get another than the default",
        "none",
        "algorithms of `algorithms`",
        '{ "https://old.example" = "ES256" }',
    ),
    "state_file": Setting(
        TEXT,
        "file with the state of the keys, for the issuers of one machine",
        "none",
        "a path; this or `redis`",
        '"keys.json"',
    ),
    "redis": Setting(
        TEXT,
        "Redis with the state of the keys, for issuers on many machines",
        "none",
        "`redis://`, `rediss://` or `unix://`",
        '"redis://127.0.0.1:6379/0"',
    ),
    "redis_name": Setting(
        TEXT, "name of the state in Redis", "`rapidjws:issuing`", "any", '"rapidjws:issuing"'
    ),
    "key_folder": Setting(
        TEXT,
        "folder for the private keys, mode 0600 each",
        "none",
        "a folder that is there; this, `kms_regions` or `pkcs11_module`",
        '"keys"',
    ),
    "kms_regions": Setting(
        TEXTS,
        "regions of AWS KMS, where each key is made, in the order in which they are tried",
        "none",
        "names of regions",
        '["eu-west-1"]',
    ),
    "pkcs11_module": Setting(
        TEXT,
        "library of a PKCS#11 token, an HSM for instance, in which each key is made",
        "none",
        "a path; with `pkcs11_token` and `pkcs11_pin_file`",
        '"/usr/lib/softhsm/libsofthsm2.so"',
    ),
    "pkcs11_token": Setting(TEXT, "the token's label", "none", "any", '"issuer"'),
    "pkcs11_pin_file": Setting(
        TEXT, "file with the user's PIN", "none", "a file that only its owner reads", '"hsm.pin"'
    ),
    "pkcs11_sessions": Setting(WHOLE, "calls of the token at once", "4", "1 to 256", "4"),
    "rsa_bits": Setting(WHOLE, "size of new RSA keys", "2048", "2048 to 16384", "3072"),
    "schedule": Setting(
        TEXT,
        "when the active key is replaced",
        "by hand only",
        "`every N days at HH:MM UTC`, `every N hours` and the like",
        '"every 30 days at 03:00 UTC"',
    ),
    "jitter_s": Setting(NUMBER, "how much later a rotation may come, by the kid", "0", "0 to 2592000", "600"),
    "freeze": Setting(
        TEXTS,
        "windows in which no key is promoted",
        "none",
        "`BEGIN/END` in ISO 8601 with zones, or `fri 16:00 - mon 08:00 UTC`",
        '["fri 16:00 - mon 08:00 UTC"]',
    ),
    "jwks_max_age_s": Setting(NUMBER, "longest `max-age` of the JWK Set", "300", "1 to 34560000", "300"),
    "token_lifetime_s": Setting(NUMBER, "longest life of a token", "300", "1 to 34560000", "300"),
    "clock_skew_s": Setting(
        NUMBER,
        "how far the clock of an issuer or a consumer may be off",
        "30",
        "0 to 3600; with `redis` from 0.1 on",
        "30",
    ),
    "state_max_age_s": Setting(
        NUMBER, "age of the state up to which an issuer signs and publishes by it", "5", "0.01 to 3600", "5"
    ),
    "publish_slack_s": Setting(
        NUMBER,
        "time beyond max-age for which a key is published before it signs",
        "`state_max_age_s` + 2 x `clock_skew_s` + 5",
        "that without the 5, or more",
        "70",
    ),
    "publish_before_s": Setting(
        NUMBER,
        "how long a key is published before it signs",
        "`jwks_max_age_s` + `publish_slack_s`",
        "that or more",
        "370",
    ),
    "keep_after_s": Setting(
        NUMBER,
        "how long a key stays published after it stopped signing",
        "`token_lifetime_s` + `jwks_max_age_s` + `clock_skew_s`",
        "that or more; more is needed where max-age is short against clocks",
        "630",
    ),
    "revocations_file": Setting(
        TEXT,
        "file of revocations that an emergency adds to, which engines read",
        "none",
        "a path; this or `revocations_redis`",
        '"revoked.json"',
    ),
    "revocations_redis": Setting(
        TEXT,
        "Redis with revocations that an emergency adds to, which engines read",
        "none",
        "`redis://`, `rediss://` or `unix://`",
        '"redis://127.0.0.1:6379/0"',
    ),
    "emergency_file": Setting(
        TEXT,
        "file with a line for each emergency and drill, which the metrics of `rapidjws issue serve` read",
        "`emergencies.jsonl`",
        "a path",
        '"emergencies.jsonl"',
    ),
    "lease_s": Setting(NUMBER, "how long a leader leads without renewing", "15", "0.05 to 3600", "15"),
    "name": Setting(TEXT, "name of this process in the state", "`issuer`", "any", '"issuer-a"'),
}
CONSUMERS: Final[dict[str, Setting]] = {
    "name": Setting(TEXT, "what it is called in reports", "required", "each once", '"orders"'),
    "url": Setting(
        TEXT,
        "its `/hooks/jwks-rotated`",
        "required",
        "an https URL; http needs `insecure_allow_http`",
        '"https://orders.example/hooks/jwks-rotated"',
    ),
    "secret_file": Setting(
        TEXT,
        "file with the bearer secret of its hook",
        "required",
        "a file that only its owner reads, 32 characters or more",
        '"orders.secret"',
    ),
    "ca": Setting(TEXT, "PEM file of the only authorities trusted", "the system's", "a path", '"ca.pem"'),
    "insecure_allow_http": Setting(
        SWITCH, "whether plain http is allowed: for tests only", "`false`", "any", "false"
    ),
    "timeout_s": Setting(NUMBER, "for one request", "5", "above 0", "2"),
}
PUBLICATION: Final[dict[str, Setting]] = {
    "listen": Setting(
        TEXT,
        "where `rapidjws issue serve` listens",
        "`127.0.0.1:8089`",
        "`host:port` or `unix:/path`",
        '"127.0.0.1:8089"',
    ),
    "metrics_listen": Setting(
        TEXT,
        "where `rapidjws issue serve` answers `/metrics`",
        "nowhere",
        "`host:port` or `unix:/path`",
        '"127.0.0.1:9464"',
    ),
    "tick_s": Setting(
        NUMBER,
        "how often it looks at what is due",
        "a third of `lease_s`, at most 5",
        "above 0 to half of `lease_s`",
        "1",
    ),
    "token_endpoint": Setting(
        TEXT, "the `token_endpoint` of the metadata", "none", "an https URL", '"https://issuer.example/token"'
    ),
    "s3_bucket": Setting(
        TEXT,
        "bucket of S3 with a copy of all documents, written before and after each change",
        "none",
        "a name",
        '"issuer-keys"',
    ),
    "s3_prefix": Setting(
        TEXT, "what stands before each path in the names of objects", "nothing", "no slash before it", '"a/"'
    ),
    "s3_region": Setting(TEXT, "region of the bucket", "as boto3 is configured", "any", '"eu-west-1"'),
    "cloudfront_distribution": Setting(
        TEXT,
        "id of a CloudFront distribution before the bucket, whose caches are invalidated at each change",
        "none",
        "an id; with `s3_bucket` only",
        '"E2QWRUHAPOMQZL"',
    ),
}
QUEUE: Final[dict[str, Setting]] = {
    "depth": Setting(WHOLE, "most requests that wait for a signature", "1000", "1 to 1000000", "1000"),
    "concurrent": Setting(WHOLE, "most calls of KMS at once", "50", "1 to 256", "50"),
    "per_second": Setting(
        NUMBER,
        "most calls of KMS a second, by this process",
        "nine tenths of 1000",
        "0.001 to 1000000",
        "200",
    ),
    "burst": Setting(WHOLE, "calls at once after a rest", "1", "1 to 1000000", "10"),
    "max_age_at_issue_s": Setting(
        NUMBER, "longest time between a request and its signature", "5", "0.001 to 3600", "2"
    ),
    "failures": Setting(WHOLE, "failures in a row after which KMS is left alone", "5", "1 to 1000", "5"),
    "open_s": Setting(NUMBER, "how long it is left alone", "5", "0.001 to 3600", "5"),
}
TABLES: Final[dict[str, dict[str, Setting]]] = {
    "issuing": ISSUING,
    "publication": PUBLICATION,
    "consumers": CONSUMERS,
    "token": TOKEN,
    "clients": CLIENTS,
    "signing_service": SIGNING_SERVICE,
    "signing_clients": SIGNING_CLIENTS,
    "queue": QUEUE,
}
SECTION_WORDS: Final = {
    "issuing": "The keys that an issuer signs with, and when they change.",
    "publication": "How the JWK Set and the metadata are served.",
    "consumers": "Services that get an announcement when keys change, each a table of its own.",
    "token": "The token endpoint of `rapidjws issue serve`; without this table there is none.",
    "clients": "Who gets tokens, each a table of its own.",
    "signing_service": (
        "The signing endpoint of `rapidjws issue serve`, by the authentication, audit and queue of `token`; "
        "without this table there is none."
    ),
    "signing_clients": "Who may have what signed, each a table of its own.",
    "queue": "The queue before keys in KMS or a PKCS#11 token: clients take turns in it.",
}
