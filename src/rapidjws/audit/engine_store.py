"""The engines that a trail's stored policies and keys make."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from rapidjws.audit.objects import OBJECTS, object_path, read_object
from rapidjws.audit.stored_policy import engine_of
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.audit.record_results import RecordResults
    from rapidjws.jwt.engine import Engine

MISSING: Final = "missing"


class EngineStore:
    """The engines of the policies and key tables that a trail stores, for all threads.

    Args:
        folder: The trail.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: dict[tuple[str, str], Engine | None] = {}
        self._making = threading.Lock()

    def engine(self, policy: str, generation: str, index: int, results: RecordResults) -> Engine | None:
        """Return the engine of a policy and a key table; name once, in the results, why there is none."""
        name = (policy, generation)
        with self._making:
            if name not in self._engines:
                try:
                    rules, table = self._object(policy, "policy"), self._object(generation, "key table")
                    self._engines[name] = engine_of(rules, table, lambda one: self._object(one, "key"))
                except RapidJWSError as fault:
                    self._engines[name] = None
                    if str(fault.place).startswith(f"{OBJECTS}/"):
                        kind = str(fault.expected)
                        code = "key_altered" if kind == "key" else "policy_altered"
                        code = "content_missing" if fault.actual == MISSING else code
                        results.find(code, str(fault.place), index, cause=f"the stored {kind}")
            return self._engines[name]

    def _object(self, name: str, kind: str) -> bytes:
        try:
            octets = read_object(self._folder, name)
        except RapidJWSError as fault:
            fault.expected = kind
            raise
        if octets is None:
            raise error_for("audit_trail_invalid", f"{object_path(name)}:0", kind, MISSING)
        return octets
