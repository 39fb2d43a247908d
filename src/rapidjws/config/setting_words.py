"""What each setting of the configuration file means and which values it takes, in words.

Names and types stand in ``schema``, defaults in the constructors; a test holds that all three have the same
settings. ``docs/configuration.md`` and the JSON Schema are made from them.
"""

from __future__ import annotations

from typing import Final

from rapidjws.config.authz_words import AUTHZ, AUTHZ_EXAMPLE
from rapidjws.config.more_words import MORE_EXAMPLES, MORE_SECTIONS, MORE_WORDS
from rapidjws.config.registry_words import REGISTRY
from rapidjws.config.words import Words

_SECONDS: Final = "above 0"
_FILE: Final = "a file; relative to the configuration's folder"
_SERVER_S: Final = "above 0 to 3600"
_ADDRESS: Final = "`host:port` or `unix:path`"
_HEADER: Final = "a header name (RFC 9110)"
_RATE: Final = "0 to 1"

ENGINE: Final = {
    "workers": Words("threads that verify one batch", "1 to 256", "one a core"),
    "max_token_bytes": Words("largest token", "1 to 262144", "16384; 65536 where an issuer may use ML-DSA"),
    "max_header_bytes": Words("largest decoded protected header; more for `x5c` chains", "1 to 16384"),
    "padded_base64url": Words(
        "whether parts of a token may end in `=`, as those of AWS load balancers do", default="`false`"
    ),
    "acceleration": Words(
        "which arithmetic is used: `portable` is plain C, `openssl` leaves all to libcrypto",
        "`auto`, `portable` or `openssl`",
    ),
    "precompute_budget_bytes": Words(
        "memory for precomputed tables of keys; where they do not all fit, keys get smaller ones",
        "0 on; 0 builds none",
    ),
    "precompute_threshold": Words("accepted tokens after which a key may get a table", "0 on; 0 for never"),
    "micro_batch_us": Words("how long `averify` waits for more tokens", "0 to 100000; 0: the loop's turn"),
    "skew_every": Words("one token in so many measures its issuer's clock", "0 on; 0 for none"),
    "cache_entries": Words("verified tokens that are remembered", "0 on; 0 for none"),
}  # fmt: skip
REVOCATIONS: Final = {
    "file": Words("JSON list that all processes of a machine share", f"{_FILE}; not beside `redis`"),
    "redis": Words("Redis that all machines share", "`redis://`, `rediss://` or `unix://`; extra `redis`"),
    "stream": Words("name of the stream in Redis", "not empty; only with `redis`"),
    "on_loss": Words(
        "what a lost stream means: `refuse` accepts no token until it is written back",
        "`keep` or `refuse`; only with `redis`",
    ),
}
REPLAY: Final = {
    "redis": Words(
        "Redis that remembers uses for all processes; without it each worker remembers its own",
        "`redis://`, `rediss://` or `unix://`; extra `redis`",
        "memory of each worker",
    ),
    "max_entries": Words("most uses remembered in memory", "1 on; not beside `redis`"),
    "budget_s": Words("longest wait for one answer of Redis", "above 0 to 10; only with `redis`"),
    "wait_replicas": Words("replicas that must have each write", "0 to 1000; only with `redis`"),
}
ROLLOUT: Final = {
    "state": Words(
        "folder that all workers share: plan, history and evidence; made at the start",
        "a folder; relative to the configuration's",
        "memory: the plan ends with the process",
    ),
    "phase": Words(
        "phase with which a rollout begins; promotions go on from there",
        "`detection`, `warning`, `allow_list` or `enforcement`",
    ),
    "enforce_on": Words("announced date of enforcement", "`2027-01-31`, or with a time; UTC without offset"),
    "max_error_rate": Words("share of failing requests up to which a promotion is allowed", _RATE),
    "min_evidence": Words("requests that a promotion needs", "0 on"),
    "window_s": Words("how far back requests count", "3600 on"),
    "automatic_rollback": Words("whether an enforced partner above `rollback_error_rate` goes back a phase"),
    "rollback_error_rate": Words("see `automatic_rollback`", _RATE),
    "unattributed": Words(
        "stage of requests that nobody can be attributed to",
        "`default` or `strictest`",
        "none: must be written where a partner's stage is stricter than the default",
    ),
    "case_insensitive_routes": Words("whether `/Pay` and `/pay` are one route"),
}  # fmt: skip
SHADOW: Final = {
    "incumbent": Words("the verifier to compare with", "`module:callable`", "required"),
    "sample": Words("share of tokens that are compared", _RATE),
    "timeout_s": Words("time for one call", "0.001 to 3600"),
    "concurrent": Words("most calls at once", "1 to 64"),
    "per_second": Words("most calls begun in a second", "1 to 1000000"),
}
NOTICES: Final = {
    "host": Words("SMTP server", "a host", "required"),
    "port": Words("its port", "1 to 65535", "587, 465 or 25, as `security` has it"),
    "security": Words("how the connection is secured", "`starttls`, `tls` or `none`"),
    "username": Words("name for logging in", "not empty; with `password_file`, never with `none`"),
    "password_file": Words("file of the password", _FILE),
    "ca": Words("PEM file of the only authorities trusted", _FILE, "the system's"),
    "timeout_s": Words("time for each step", "above 0 to 600"),
    "sender": Words("address in `From`", "a mail address", "required"),
    "reply_to": Words("address in `Reply-To`", "a mail address"),
    "templates": Words(
        "folder with `subject.txt`, `notice.txt`, `notice.html`", "a folder; relative likewise", "our own"
    ),
}
SERVER: Final = {
    "listen": Words("where requests of the gateway come", _ADDRESS),
    "listen_mode": Words(
        "mode of the Unix socket of `listen`: who may ask for decisions", "0600, 0660 or 0666", "the umask's"
    ),
    "grpc_listen": Words("where Envoy's ext_authz over gRPC comes", f"{_ADDRESS}; see `grpc_server`"),
    "grpc_server": Words("what answers it; `grpcio`: one worker only on a socket", "`grpcio` or `ngh2`"),
    "admin_listen": Words(
        "where admin actions come; a socket is for its owner only", f"{_ADDRESS}; a port: with a token"
    ),
    "admin_token_file": Words("file of the token for admin actions", f"{_FILE}, of 32 characters or more"),
    "hook_secret_file": Words(
        "file of the secret for `/hooks/jwks-rotated`", f"{_FILE}, of 32 characters or more"
    ),
    "workers": Words("processes", "1 to 1024"),
    "prefix": Words("path under which requests are decided; what follows is the route", "`/like/this`"),
    "route_headers": Words("headers that name the route", f"{_HEADER} each"),
    "method_header": Words(
        "header with the client's method, for rules, bodies and DPoP; the gateway must overwrite it",
        f"{_HEADER}, or `:method` for that of the check itself (Envoy)",
    ),
    "host_header": Words("the client's host, for rules and DPoP; the gateway must overwrite it", _HEADER),
    "partner_header": Words("header that names the partner; the gateway must overwrite it", _HEADER),
    "claim_headers": Words(
        "claims for the service behind: claim or JSON Pointer = a header's name, or a table with `header` "
        "and `encoding`; see [Claims as headers](how-to/claim-headers.md)",
        "encodings: `plain`, `percent`, `base64url`; up to 32 headers that nothing else reads",
    ),
    "token_header": Words("header of the token", _HEADER),
    "token_scheme": Words("scheme before the token", "a token (RFC 9110); empty for none"),
    "token_cookie": Words("cookie of the token, instead of a header", "a cookie name"),
    "realm": Words("`realm` of challenges", "printable ASCII without quotes and backslashes"),
    "max_header_bytes": Words("largest head of a request", "1 on"),
    "max_body_bytes": Words("largest body", "1 on"),
    "max_connections": Words("most connections of a worker", "1 on"),
    "max_delay_s": Words("time that requests may wait together; more are answered 503", "0 (never) to 10"),
    "header_timeout_s": Words("time for a request to arrive", _SERVER_S),
    "idle_timeout_s": Words("time that a connection may be idle", _SERVER_S),
    "ready_timeout_s": Words("longest wait for keys before a start accepts", "0 to 3600"),
    "drain_s": Words("time for requests under way at the end", _SERVER_S),
    "worker_timeout_s": Words("a worker that stands still so long is started again", _SERVER_S),
}
ISSUER: Final = {
    "iss": Words(
        "the exact `iss` of its tokens; several names, or a template such as `https://idp.example/{tid}`",
        "not empty; each once",
        "required, or `check_iss = false`",
    ),
    "check_iss": Words("whether `iss` is compared; `false`: one issuer alone, and no `iss` here"),
    "algorithms": Words("the `alg` values that it may use", "one or more names, never `none`", "required"),
    "check_audience": Words("whether `aud` is compared; `false`: tokens for anybody, and no `audience` here"),
    "audience": Words("names by which `aud` may mean us", "not empty each", "none: no token with `aud`"),
    "leeway_s": Words("clock difference forgiven", "0 to 86400"),
    "required_claims": Words("claims that must be there and not null", "not empty each"),
    "typ": Words("the `typ` that its tokens must have, one of these", "not empty", "any"),
    "typ_required": Words("whether a token without `typ` is refused where `typ` names some"),
    "profile": Words(
        "the kind of its tokens: sets `typ`, `required_claims`, `claims`; what stands here holds",
        "`access_token`, `id_token`, `logout_token`, `security_event`, `introspection_response` or "
        "`status_list`",
    ),
    "claims": Words(
        "what further claims must be: claim or JSON Pointer = a value, a list of values of which it must be "
        "one, or a table",
        "tables: `one_of`, `contains`, `contains_any`, `contains_only`, `prefix`, `pattern`, `present`, "
        "`checked`",
    ),
    "show_claims": Words("claims of `claims` whose values may stand in an error", "not empty each"),
    "tenants": Words("the values that a template's variable may have", "letters, digits and `-._~`"),
    "any_tenant": Words("whether a template's variable may have any value", default="`false`"),
    "max_auth_age_s": Words("longest time since `auth_time`", "0 to 10000000000", "any time"),
    "max_age_s": Words("oldest `iat` accepted", "0 to 10000000000", "any age"),
    "exp_required": Words("whether a token without `exp` is refused"),
    "try_keys": Words("keys that are tried for a token without `kid`", "0 to 4; not with `require_kid`"),
    "require_kid": Words("whether a token without `kid` is refused"),
    "crit": Words("critical header extensions that the application heeds", "no registered names, no `b64`"),
    "trust_domain": Words("SPIFFE trust domain that `sub` lies in, for JWT-SVIDs", "lower case; no `iss`"),
    "cnf": Words(
        "whether its tokens are bound to senders: `checked` refuses a bound one that nobody compares with "
        "its sender, `required` an unbound one too",
        "`unchecked`, `checked` or `required`",
    ),
    "required": Words("whether the service is ready only once this issuer has keys"),
    "jwks_url": Words("where its JWK Set is", "https, no credentials or fragment", "one source"),
    "jwks_file": Words("where its JWK Set lies; read again when it changes", _FILE, "one source"),
    "discover": Words("whether its JWK Set's address is read from its metadata (OpenID Connect, RFC 8414)"),
    "jwks_origins": Words(
        "origins of discovered sets beside the issuer's own", "`https://host` each; with `discover`"
    ),
    "certificates_url": Words(
        "where a JSON object of kid -> certificate is", "https, no credentials or fragment", "one source"
    ),
    "pem_url": Words("where the PEM text of one kid is", "https, `{kid}` once in the path", "one source"),
    "pem_kids": Words("kids fetched from the start", "letters, digits and `-_.~=+:`; with `pem_url`"),
    "pem_path": Words(
        "PEM or certificate file, or a folder of them; read again when they change", _FILE, "one source"
    ),
    "pem_kid": Words(
        "what a file's kid is", "`name` or `any`; with `pem_path`", "`any` of a file, `name` in a folder"
    ),
    "x5c_roots": Words("files of the roots that chains in `x5c` must end at", "PEM or DER", "one source"),
    "x5c_policy": Words(
        "what a chain must be beside that", "`app_store`, `jades` or `open_finance`; with `x5c_roots`"
    ),
    "x5c_time": Words(
        "when a chain must hold", "`now` or `token`; with `x5c_roots`", "as `x5c_policy` says, else `now`"
    ),
    "spiffe_bundle_url": Words(
        "where the bundle of a SPIFFE trust domain is", "https, no credentials or fragment", "one source"
    ),
    "last_good_file": Words("where the last good set is kept, for starts while the issuer is down", _FILE),
    "rotation_until": Words(
        "end of an announced rotation of its keys; until then alerts about it wait", "as `rollout.enforce_on`"
    ),
    "last_good_max_age_s": Words("age up to which a kept set is used", _SECONDS),
    "timeout_s": Words("time for a whole fetch", _SECONDS),
    "max_bytes": Words("largest answer", "1 on"),
    "max_keys": Words("most keys of a set", "1 on"),
    "ca": Words("only authorities trusted", "PEM text, or " + _FILE, "the system's"),
    "refuse_private_addresses": Words("whether private, loopback and link-local addresses are refused"),
    "insecure_allow_http": Words("whether plain http is allowed; for tests only"),
    "proxy": Words("proxy that connects (HTTP CONNECT)", "`http://host:port`", "none"),
    "proxy_authorization_file": Words("value of `Proxy-Authorization`, read at each fetch", _FILE),
    "authorization_file": Words("bearer token of the fetch, read at each fetch", _FILE),
    "header_files": Words("further headers of the fetch, read at each fetch", "`Name: file` each"),
    "default_ttl_s": Words("life of a set without Cache-Control", _SECONDS),
    "min_ttl_s": Words("shortest life, whatever the issuer says", "above 0, at most `max_ttl_s`"),
    "max_ttl_s": Words("longest life, whatever the issuer says", "`min_ttl_s` to `stale_limit_s`"),
    "refresh_at": Words("part of the life after which it is fetched again", "above 0 to 1"),
    "stale_limit_s": Words("age at which a set that cannot be fetched is no longer used", "`max_ttl_s` on"),
    "retry_min_s": Words("first pause after a failed fetch", "above 0, at most `retry_max_s`"),
    "retry_max_s": Words("longest pause in an outage of seconds", "`retry_min_s` on"),
    "retry_outage_max_s": Words("longest pause in a long outage, a twentieth of it", _SECONDS),
    "retry_after_max_s": Words("longest pause that a Retry-After is granted", _SECONDS),
    "cooldown_s": Words("shortest time between refreshes that unknown kids cause", _SECONDS),
    "budget": Words("such refreshes that may come one after the other", "1 on"),
    "budget_period_s": Words("time in which a used-up budget fills again", _SECONDS),
    "negative_ttl_s": Words("time for which a kid that a fresh set lacked causes nothing", _SECONDS),
    "negative_max": Words("most such kids remembered", "1 on"),
    "replay": Words("whether each token is good for one use", "needs `exp_required` or `max_age_s`"),
    "replay_identity": Words("what tells tokens apart", "`jti` or `jti_or_digest`"),
    "replay_on_failure": Words("what a store that cannot tell means", "`deny` or `accept`"),
}  # fmt: skip
PARTNER: Final = {
    "name": Words(
        "how the gateway names it; `default` is for all others",
        "up to 128 letters, digits and `._@:/-`",
        "required",
    ),
    "issuers": Words("the `iss` that it may use", "not empty each", "all"),
    "algorithms": Words("the `alg` that it may use", "as for issuers", "all that its issuer may"),
    "retiring": Words("algorithms with the date from which they are refused", "`\"RS256 2027-01-31\"` each"),
    "leeway_s": Words("clock difference forgiven", "0 to 86400", "the issuer's"),
    "required_claims": Words("claims that must be there and not null", "not empty each"),
    "scopes": Words("values that `scope` or `scp` must hold", "scope-tokens (RFC 6749)"),
    "contact": Words("mail address for notices", "a mail address"),
    "allow_listed_until": Words("end of its exception in the phase `allow_list`", "as `rollout.enforce_on`"),
}  # fmt: skip
LOGS: Final = {
    "schema": Words("form of the lines: our own names, Elastic's or OCSF's", "`plain`, `ecs` or `ocsf`"),
    "level": Words("least level that is written", "`debug`, `info`, `warning` or `error`"),
    "destination": Words("where lines go", "`stderr`, `none`, or a file, opened anew on SIGHUP"),
    "security_destination": Words("where security events go beside that", "as for `destination`"),
    "claims": Words("claims that a line about a refused token may show, unverified", "up to 16 names"),
    "lines_per_minute": Words("lines of one code and partner a minute", "1 to 1000000"),
    "queue_lines": Words("lines that may wait for the destination; more are dropped", "16 to 1048576"),
    "operator_lines": Words("whether lines for a person go to standard error as well"),
}
TRACES: Final = {
    "endpoint": Words("OTLP receiver over HTTP that spans go to", "`http(s)://host:port`", "required"),
    "service_name": Words("`service.name` of the spans", "a printable name"),
    "timeout_s": Words("longest time of one export", "above 0 to 60"),
}
OBSERVABILITY: Final = {
    "metrics": Words("whether verdicts and durations are counted and `/metrics` answers"),
    "exemplars": Words("whether histograms name the traces of sampled requests"),
}
WORDS: Final[dict[str, dict[str, Words]]] = {
    "issuers": ISSUER,
    "partners": PARTNER,
    "engine": ENGINE,
    "registry": REGISTRY,
    "revocations": REVOCATIONS,
    "replay": REPLAY,
    "rollout": ROLLOUT,
    "shadow": SHADOW,
    "authz": AUTHZ,
    "logs": LOGS,
    "observability": OBSERVABILITY,
    "traces": TRACES,
    "notices": NOTICES,
    "server": SERVER,
    **MORE_WORDS,
}
SECTIONS: Final[dict[str, str]] = {
    "issuers": "Whose tokens are accepted, by which keys and rules: a table each, at least one.",
    "partners": "Who sends requests, and what is expected of each beside its issuer's rules. One table each.",
    "engine": "Limits and memory of the verification.",
    "registry": "Issuers that are looked up: see [Very many issuers](how-to/many-issuers.md).",
    "revocations": "Where revoked keys, issuers and tokens are kept beyond one process.",
    "replay": "Where uses of tokens are remembered, for issuers with `replay = true`.",
    "rollout": "Phases, guard rails, and what requests get that are nobody's.",
    "shadow": "Comparison with a verifier that is in use today; it changes no decision.",
    "authz": "Rules after the verdict: what the holder of a verified token may do.",
    "logs": "Log lines of `rapidjws serve`: see [Logs](reference/logs.md).",
    "observability": "What `/metrics` of `rapidjws serve` shows: see [Metrics](reference/metrics.md).",
    "traces": "Spans of `rapidjws serve`, by OpenTelemetry (extra `otel`): see [Traces](how-to/traces.md).",
    "notices": "The mail server of `rapidjws rollout notify`.",
    "server": "Listeners, limits and processes of `rapidjws serve`.",
    **MORE_SECTIONS,
}  # fmt: skip
EXAMPLES: Final[dict[str, str]] = {
    "authz": AUTHZ_EXAMPLE,
    "issuers": """\
[[issuers]]
iss = "https://issuer.example"
jwks_url = "https://issuer.example/.well-known/jwks.json"
algorithms = ["ES256", "RS256"]
audience = ["https://api.example"]
typ = "at+jwt"
last_good_file = "issuer.keys.json"
""",
    "partners": """\
[[partners]]
name = "shop"
issuers = ["https://issuer.example"]
scopes = ["orders.read"]
retiring = ["RS256 2027-06-30"]
contact = "api@shop.example"
""",
    "engine": """\
[engine]
precompute_budget_bytes = 134217728
cache_entries = 10000
""",
    "registry": '[registry]\nfolder = "issuers.d"\nmax_issuers = 20000\n',
    "revocations": """\
[revocations]
redis = "rediss://redis.example:6379/0"
on_loss = "keep"
""",
    "replay": """\
[replay]
redis = "rediss://redis.example:6379/0"
budget_s = 0.25
""",
    "rollout": """\
[rollout]
state = "state"
phase = "detection"
unattributed = "default"
min_evidence = 1000
""",
    "shadow": """\
[shadow]
incumbent = "gateway.old:verify"
sample = 0.1
""",
    "logs": """\
[logs]
schema = "ecs"
destination = "rapidjws.log"
security_destination = "security.log"
claims = ["client_id"]
""",
    "observability": """\
[observability]
exemplars = false
""",
    "traces": """\
[traces]
endpoint = "http://127.0.0.1:4318"
service_name = "gateway-verifier"
""",
    "notices": """\
[notices]
host = "mail.example"
sender = "gateway@example.com"
username = "gateway"
password_file = "mail-password"
""",
    "server": """\
[server]
listen = "127.0.0.1:8088"
workers = 4
admin_listen = "unix:admin.sock"
partner_header = "X-Partner"

[server.claim_headers]
tid = "X-Tenant"
name = { header = "X-Name", encoding = "percent" }
"/realm_access/roles" = { header = "X-Roles", encoding = "base64url" }
""",
    **MORE_EXAMPLES,
}
