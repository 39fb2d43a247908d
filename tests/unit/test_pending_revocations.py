"""Revocations that their store does not have yet, in memory that workers share."""

from __future__ import annotations

import os

import pytest

from rapidjws import ConfigurationError
from rapidjws.sidecar.pending_revocations import PendingRevocations
from rapidjws.verify.revocations import Revocation

ONE, OTHER = Revocation(jti="one", issuer="https://a.example"), Revocation(kid="k")


def test_a_list_that_forked_workers_share() -> None:
    """What a child adds its parent sees; each change has a version; removing says what was there."""
    pending = PendingRevocations()
    try:
        assert (pending.listed(), pending.version) == ((), 0)
        child = os.fork()
        if not child:
            pending.add(ONE)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (pending.listed(), pending.version) == ((ONE,), 1)
        pending.add(OTHER)
        pending.add(ONE)  # once each
        assert set(pending.listed()) == {ONE, OTHER}
        assert pending.remove(ONE)
        assert not pending.remove(ONE)
        assert (pending.listed(), pending.version) == ((OTHER,), 4)
    finally:
        pending.close()


def test_what_finds_no_module_is_refused_whole() -> None:
    """A list that is full takes no more, says so before and after, and stays as it was."""
    pending = PendingRevocations(100)
    try:
        pending.add(OTHER)
        long = Revocation(jti="x" * 100)
        for refused in (pending.check_fits, pending.add):
            with pytest.raises(ConfigurationError, match="no room"):
                refused(long)
        assert (pending.listed(), pending.version) == ((OTHER,), 1)
    finally:
        pending.close()


def test_a_store_that_fails_halfway_keeps_the_rest() -> None:
    """What a store took is not handed to it again; what it did not take stays."""
    pending = PendingRevocations()
    taken: list[Revocation] = []

    def keep(one: Revocation) -> None:
        if taken:
            raise OSError
        taken.append(one)

    try:
        pending.add(ONE)
        pending.add(OTHER)
        with pytest.raises(OSError):
            pending.hand_over(keep)
        assert (taken, pending.listed()) == ([ONE], (OTHER,))
        taken.clear()
        assert pending.hand_over(keep) == 1
        assert (taken, pending.listed()) == ([OTHER], ())
    finally:
        pending.close()
