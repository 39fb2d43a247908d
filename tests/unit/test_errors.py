"""The error tree: every code builds, speaks, survives pickling and gives nothing away."""

from __future__ import annotations

import copy
import pickle
from typing import get_args

import pytest

from rapidjws import errors
from rapidjws.errors import CODES, MESSAGE_MAX_CHARS, RapidJWSError, Reason, error_for

PROMISED_CODES = [
    "malformed_token",
    "malformed_base64url",
    "malformed_header",
    "malformed_json",
    "malformed_claims",
    "malformed_claim",
    "too_large",
    "too_deep",
    "too_many_members",
    "duplicate_member",
    "unsupported_algorithm",
    "algorithm_not_allowed",
    "key_alg_mismatch",
    "typ_mismatch",
    "crit_unsupported",
    "crit_malformed",
    "b64_unsupported",
    "unprotected_parameter",
    "signatures_insufficient",
    "signers_disagree",
    "unknown_kid",
    "missing_kid",
    "ambiguous_key",
    "unknown_issuer",
    "no_suitable_key",
    "signature_invalid",
    "expired",
    "not_yet_valid",
    "issued_in_future",
    "too_old",
    "issuer_mismatch",
    "audience_mismatch",
    "missing_claim",
    "keys_unavailable",
    "keys_stale",
    "replayed",
    "replay_store_unavailable",
    "revoked",
    "revocation_store_unavailable",
    "clock_implausible",
    "key_malformed",
    "key_unsupported",
    "key_weak",
    "key_private",
    "key_use_mismatch",
    "duplicate_kid",
    "mixed_key_set",
    "jwks_malformed",
    "jwks_too_large",
    "configuration_invalid",
    "internal_error",
]


def test_every_promised_code_stays() -> None:
    """A code is an interface: removing or renaming one breaks callers."""
    assert set(PROMISED_CODES) <= set(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_has_a_class_a_reason_and_words(code: str) -> None:
    """Each row is complete, and its reason is one of the closed set."""
    row = CODES[code]
    assert row.code == code
    assert row.reason in get_args(Reason)
    assert issubclass(row.error, RapidJWSError)
    assert row.meaning
    assert row.cause.endswith(".")
    assert row.fix.endswith(".")


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_error_survives_pickling_and_copying(code: str) -> None:
    """A worker process hands its error over whole."""
    error = error_for(code, "keys[3].n", "at least 2048 bit", 1024)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error) is CODES[code].error
        assert twin.as_dict() == error.as_dict()
        assert str(twin) == str(error)


def test_every_reason_is_used() -> None:
    """The closed set of reasons holds nothing dead."""
    assert {row.reason for row in CODES.values()} == set(get_args(Reason))


def test_every_class_but_the_roots_is_used_and_drawn() -> None:
    """Each leaf class has a code and stands in the module's drawing."""
    types = [value for value in vars(errors).values() if isinstance(value, type)]
    classes = {value for value in types if issubclass(value, RapidJWSError)}
    assert classes - {row.error for row in CODES.values()} == {
        errors.RapidJWSError,
        errors.TokenRefused,
        errors.Unavailable,
    }
    assert all(value.__name__ in (errors.__doc__ or "") for value in classes)


def test_an_outage_is_indeterminate_and_a_bad_token_is_denied() -> None:
    """Outage is not forgery, and forgery is not an outage."""
    indeterminate = {code for code, row in CODES.items() if row.outcome == "indeterminate"}
    assert indeterminate == {
        "audit_unavailable",
        "key_copy_unavailable",
        "policy_unavailable",
        "keys_unavailable",
        "keys_stale",
        "replay_store_unavailable",
        "revocation_store_unavailable",
        "clock_implausible",
        "introspection_unavailable",
        "status_list_unavailable",
        "issuing_clock",
        "key_state_unavailable",
        "key_state_unreadable",
        "no_signing_key",
        "signature_faulty",
        "signer_key_changed",
        "signer_throttled",
        "signing_late",
        "signing_queue_closed",
        "signing_queue_full",
        "signer_unavailable",
        "timestamp_failed",
        "witness_failed",
        "internal_error",
    }
    assert error_for("signature_invalid").outcome == "deny"


def test_the_message_says_expected_found_and_where() -> None:
    """A reader needs no source code to act on the message."""
    text = str(error_for("issuer_mismatch", "claims.iss", "https://a.example", "https://b.example"))
    assert text == (
        "issuer_mismatch at claims.iss: the token is from another issuer;"
        " expected 'https://a.example', found 'https://b.example'"
    )
    assert str(error_for("expired")) == "expired: the token has expired"
    assert "; found 5" in str(error_for("expired", "claims.exp", None, 5))


def test_foreign_text_is_escaped_and_bounded() -> None:
    """One error is one printable line, whatever a stranger put into a claim or a member name."""
    foreign = "evil\r\n\x1b[31m\u202e" * 10_000
    error = error_for("issuer_mismatch", f"claims.{foreign}", "https://a.example", foreign)
    for text in (str(error), repr(error), repr(error.as_dict()["actual"])):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 400
    assert len(str(error)) <= MESSAGE_MAX_CHARS
    assert str(error).startswith("issuer_mismatch at ")


def test_repr_names_class_code_and_place() -> None:
    """The repr tells errors apart in a log."""
    assert repr(error_for("expired", "claims.exp", 5, 4)) == (
        "ClaimRefused(code='expired', place='claims.exp', expected=5, actual=4)"
    )
    assert repr(error_for("expired")) == "ClaimRefused(code='expired')"


def test_the_whole_row_is_reachable_from_an_error() -> None:
    """Operators reach cause and fix from the error in hand."""
    error = error_for("key_private")
    assert error.info is CODES["key_private"]
    assert error.info.escalate
    assert error.reason == "not_allowed"


def test_an_unknown_code_is_a_programming_error() -> None:
    """A misspelt code fails at once instead of making an error without meaning."""
    with pytest.raises(KeyError):
        error_for("no_such_code")


def test_errors_imports_nothing_of_the_package() -> None:
    """The tree stands below every other module, but for how values are shown."""
    homes = {getattr(value, "__module__", None) for value in vars(errors).values()}
    assert {str(home) for home in homes if str(home).startswith("rapidjws")} == {
        errors.__name__,
        "rapidjws._shown",
    }
