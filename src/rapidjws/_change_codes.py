"""Error codes of what an operator changes: the rollout, and the keys that an issuer signs with.

Rows for the table in ``errors``: code, class, reason, meaning, cause, fix, escalate.
"""

from __future__ import annotations

from typing import Final

from rapidjws._audit_codes import ROWS as AUDIT_ROWS
from rapidjws._authorization_codes import AUTHORIZATION_ROWS

Row = tuple[str, str, str, str, str, str, bool]

_AGAIN: Final = "Read the state again, and decide again: rapidjws issue status."

ROWS: Final[tuple[Row, ...]] = (
    ("guard_rails_not_met", "RolloutRefused", "configuration", "the guard rails hold this promotion",
     "Too few requests, or too many without a good token.", "Wait, mend what fails, or use --force.", False),
    ("rollout_frozen", "RolloutRefused", "configuration", "the rollout is frozen",
     "Somebody froze it: see the history.", "Thaw it first: rapidjws rollout thaw.", False),
    ("rollout_changed", "RolloutRefused", "configuration", "the plan was changed meanwhile",
     "Somebody else, or a guard rail, was quicker.", "Look at the plan, and decide again.", False),
    ("rollout_no_step", "RolloutRefused", "configuration", "no such step from the stage that holds",
     "It holds already, or there is none beyond.", "Look at the stage: rapidjws rollout status.", False),
    ("rollout_not_written", "RolloutRefused", "configuration", "the rollout's folder cannot be written",
     "A full or read-only disk, or another owner; the plan is as before, or ask for it once more.",
     "Make room or mend the folder, look at the plan, and decide again.", True),
    # Keys of an issuer
    ("key_timing_unsafe", "IssuingRefused", "configuration", "a key would sign before caches can know it",
     "Times of publication, of tokens and of the schedule that contradict each other.",
     "Make the named time at least the sum that the message shows.", False),
    ("key_not_ready", "IssuingRefused", "configuration", "the next key is not published long enough",
     "Caches may still hold a JWK Set without it.",
     "Wait until the moment in the message; only an emergency promotes it earlier.", False),
    ("no_next_key", "IssuingRefused", "configuration", "there is no next key",
     "It was promoted or tainted, and the leader has not made another one yet.",
     "Let the leader make one: rapidjws issue tick; then wait until it is ready.", False),
    ("key_not_found", "IssuingRefused", "configuration", "the state has no such key",
     "A kid that is misspelt, or was removed.", "List the keys: rapidjws issue status.", False),
    ("key_frozen", "IssuingRefused", "configuration", "a freeze window holds the promotion of keys",
     "The configuration forbids changes at this time.", "Wait for its end; an emergency ignores it.", False),
    ("kid_in_use", "IssuingRefused", "configuration", "a kid or a key that the state has already",
     "Two keys under one name, or one key under two names; removed ones count.",
     "Make a new key with a kid of its own.", False),
    ("key_state_changed", "IssuingRefused", "configuration", "the state of the keys was changed meanwhile",
     "Another issuer or operator was quicker; nothing was written.", _AGAIN, False),
    ("not_leader", "IssuingRefused", "configuration", "another issuer leads",
     "Its lease runs; one issuer alone changes keys by the schedule.",
     "Nothing: it changes them; or wait for the end of its lease.", False),
    ("key_state_unreadable", "DependencyUnavailable", "unavailable", "the state of the keys cannot be read",
     "A cut-off file, or one that another version of this package wrote.",
     "Run one version on all issuers, or restore the state from a copy; nothing is guessed.", True),
    ("key_state_unavailable", "DependencyUnavailable", "unavailable", "the store of the keys' state fails",
     "Redis is down or slow, or the file cannot be read or written; keys are as before.",
     "Restore the store; published keys hold for as long as state_max_age_s says.", True),
    ("key_copy_unavailable", "DependencyUnavailable", "unavailable", "the copy of the keys cannot be written",
     "The bucket or the distribution does not answer or refuses; no key was published meanwhile.",
     "Restore it, or its permissions; the leader writes it again by itself.", True),
    ("issuing_clock", "DependencyUnavailable", "unavailable", "this clock disagrees with the state",
     "The clock ran back, or differs from the store's by more than clock_skew_s; nothing was changed.",
     "Set the clock.", True),
    ("key_readable_by_others", "KeyRefused", "not_allowed", "a private key that others can read",
     "The file's mode lets its group or everybody read it, or write to it.",
     "chmod 0600 the file; where others may have read it, treat the key as compromised.", True),
    ("signer_unavailable", "DependencyUnavailable", "unavailable", "the signer's backend does not answer",
     "A KMS, HSM or Vault that is down, slow or gone.", "Restore it, or name a second one.", True),
    ("signer_throttled", "DependencyUnavailable", "unavailable", "the signer's backend refuses so many calls",
     "A quota of the account, often shared with others.", "Sign less, or ask for a higher quota.", True),
    ("signer_refused", "ConfigurationError", "configuration", "the signer's backend refuses this key or call",
     "A key of another type or usage, a disabled one, a wrong PIN, or a missing permission.",
     "Compare key, algorithm and permissions with what the message names.", True),
    ("signer_key_changed", "DependencyUnavailable", "unavailable", "the header names a replaced key",
     "The issuer's key was replaced since the header was made; the signer has the new kid.",
     "Make the header anew and sign again; sign_compact does so once by itself.", True),
    ("signature_faulty", "InternalError", "unavailable", "a signature that does not verify was not let out",
     "A faulty HSM, or a backend that signs by another key or padding.",
     "Take the backend out of use and look at its key; nothing wrong was issued.", True),
    ("signing_queue_full", "DependencyUnavailable", "unavailable", "too many signatures are waited for",
     "More requests than the signer makes signatures; answer 503 with Retry-After: 1.",
     "Ask again later, or give the queue a second key store.", True),
    ("signing_late", "DependencyUnavailable", "unavailable", "a signature would come too late",
     "Nothing was signed in time; answer 503 with Retry-After: 1.",
     "Ask again with fresh claims, or raise max_age_at_issue_s.", True),
    ("signing_queue_closed", "DependencyUnavailable", "unavailable", "the signing queue is closed",
     "The process is going down; answer 503 with Retry-After: 1.", "Ask another process.", True),
    ("token_request_refused", "IssuingRefused", "configuration", "a token service refuses a request",
     "A client that is not authenticated, or asks for what it may not get; the error of RFC 6749 is named.",
     "Compare the request with the client's settings.", False),
    ("no_signing_key", "DependencyUnavailable", "unavailable", "no key may sign now",
     "No active key for the algorithm, or none whose state is fresh enough.",
     "Look at the keys: rapidjws issue status.", True),
    *AUDIT_ROWS,
    *AUTHORIZATION_ROWS,
)  # fmt: skip
"""Rows whose second column is the name of a class of ``errors``."""
