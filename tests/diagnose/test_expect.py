"""rapidjws.testing.assert_rejected: it holds the code, and fails for a pass or another code."""

from __future__ import annotations

import doctest

import pytest
from broken_world import NOW, claims, engine, token

from rapidjws.errors import ConfigurationError
from rapidjws.testing import assert_rejected, expect


def test_right_code_passes() -> None:
    """The right code passes, both ways of asking, and the error is at hand."""
    old = token(payload=claims(exp=NOW - 900))
    assert assert_rejected("expired", engine(), old, now=NOW).place == "claims.exp"
    with assert_rejected("expired") as refusal:
        engine().verify(old, NOW)
    assert refusal.error is not None
    assert refusal.error.code == "expired"


def test_wrong_code_fails() -> None:
    """Another code, and an accepted token, fail; an unknown code and a foreign error are not swallowed."""
    with pytest.raises(AssertionError, match="refused with 'expired'"):
        assert_rejected("too_old", engine(), token(payload=claims(exp=NOW - 900)), now=NOW)
    with pytest.raises(AssertionError, match="accepted"):
        assert_rejected("expired", engine(), token(), now=NOW)
    with pytest.raises(ConfigurationError, match="no_such_code"):
        assert_rejected("no_such_code")
    with pytest.raises(ZeroDivisionError), assert_rejected("expired"):
        _ = 1 / 0


def test_examples_run() -> None:
    """The docstring's examples are true."""
    assert doctest.testmod(expect).failed == 0
