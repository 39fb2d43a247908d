"""A store of revocations whose list a test changes, as another process would."""

from __future__ import annotations

from collections.abc import Callable

from rapidjws import Revocation


class ListedRevocations:
    """A revocation store whose list somebody else changes."""

    def __init__(self) -> None:
        self.listed: list[Revocation] = []
        self.changed: list[Callable[[], None]] = []
        self.is_lost = False

    def load(self) -> list[Revocation]:
        """Return all that hold."""
        return list(self.listed)

    def add(self, revocation: Revocation) -> None:
        """Keep one."""
        self.listed.append(revocation)

    def remove(self, revocation: Revocation) -> None:
        """Lift one."""
        self.listed.remove(revocation)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Keep who is called back; the test calls."""
        self.changed.append(changed)
