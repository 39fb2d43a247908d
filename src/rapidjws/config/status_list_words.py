"""The settings of the table ``status_lists``: their types, and what they mean."""

from __future__ import annotations

from typing import Final

from rapidjws.config.words import Words

FIELDS: Final = {
    "lists": "a table of claims",
    "required": "true or false",
    "on_failure": "text",
    **dict.fromkeys(("refresh_s", "stale_limit_s", "timeout_s"), "a number"),
    **dict.fromkeys(("max_age_s", "max_list_bytes", "leeway_s"), "a whole number"),
    **dict.fromkeys(("state_dir", "ca"), "text"),
    **dict.fromkeys(("refuse_private_addresses", "insecure_allow_http"), "true or false"),
}
"""Setting -> its type, in the words of ``schema``."""

WORDS: Final = {
    "lists": Words(
        "URL of a list = the issuer whose tokens may point to it and whose keys sign it; no other is fetched",
        "`https://` each; configured issuers",
        "required",
    ),
    "required": Words("whether a token of these issuers without a status is refused"),
    "on_failure": Words("what a list that cannot be had means", "`indeterminate` or `signature`"),
    "refresh_s": Words("longest time between two fetches; a list's `ttl` shortens it", "5 to 86400"),
    "stale_limit_s": Words(
        "how long a list is used after that while none can be fetched, within its `exp`", "0 to 86400"
    ),
    "max_age_s": Words("oldest `iat` of a list", "60 to 31622400"),
    "max_list_bytes": Words("the most octets that a list may grow to, uncompressed", "1 to 67108864"),
    "leeway_s": Words("clock difference forgiven at the list's dates", "0 to 300"),
    "state_dir": Words(
        "keeps the newest `iat` of each list over a restart: none older is taken",
        "a folder that is there",
    ),
    "timeout_s": Words("longest time that a fetch may take", "above 0"),
    "ca": Words("authorities of the lists' servers", "a PEM file or PEM text", "the system's"),
    "refuse_private_addresses": Words("whether private and loopback addresses are refused"),
    "insecure_allow_http": Words("whether plain http is allowed: for tests only"),
}  # fmt: skip
SECTION_WORDS: Final = (
    "Which tokens their issuers call valid now, a draft: see [Token status lists](how-to/status-lists.md)."
)
EXAMPLE: Final = """\
[status_lists]
required = true
refresh_s = 60

[status_lists.lists]
"https://issuer.example.com/statuslists/1" = "https://issuer.example.com"
"""
