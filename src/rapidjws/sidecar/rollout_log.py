"""The log of a rollout's changes: what others promoted, rolled back or froze, once a worker goes by it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rapidjws.errors import RapidJWSError
from rapidjws.observe.event_log import write_event

if TYPE_CHECKING:
    from rapidjws.rollout.rollout import Rollout


class RolloutLog:
    """A writer of each change of a rollout's plan; reads its history, so never on a loop.

    Args:
        rollout: Whose plan.
    """

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        self._revision = rollout.state.plan().revision

    def look(self) -> None:
        """Write what was changed since the last look."""
        revision = self._rollout.state.plan().revision
        if revision == self._revision:
            return
        with contextlib.suppress(OSError, RapidJWSError):
            for change in self._rollout.history():
                if change.revision > self._revision:
                    name = (
                        "rollout_rolled_back" if change.action == "automatic_rollback" else "rollout_changed"
                    )
                    fields: dict[str, object] = change.as_dict()
                    del fields["at_s"]
                    write_event(name, {field: value for field, value in fields.items() if value != ""})
        self._revision = revision
