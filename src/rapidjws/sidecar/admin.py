"""The sidecar's admin listener: promote, roll back, freeze, thaw, revoke and reload, in every worker.

``GET`` of ``status``, ``keys`` and ``config`` shows what holds in the worker that answers.

It is a listener of its own, a Unix socket for its owner only or one that wants a token; the public one knows
none of these paths. An answer comes once each worker took the change over, and says after how long.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from rapidjws._version import __version__
from rapidjws.config.effective import without_secrets
from rapidjws.errors import ConfigurationError, DependencyUnavailable, RapidJWSError, error_for
from rapidjws.rollout.plan import checked_phase
from rapidjws.rollout.report.readiness import readiness
from rapidjws.rollout.state import MemoryState, plan_members
from rapidjws.sidecar.key_status import differences, probe_all, public_members
from rapidjws.sidecar.live_reports import live_reports
from rapidjws.verify.revocations import Revocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.sidecar.change_bus import Kind
    from rapidjws.sidecar.worker_state import WorkerState

PATH: Final = "/admin/"
BROWSED: Final = frozenset({"status.json"})
"""What a browser may read with the secret as a password."""

WAIT_S: Final = 5.0
"""Longest wait for the other workers before an answer says that some are behind."""

Reply = tuple[int, dict[str, Any]]
Query = Mapping[str, list[str]]

_NOTHING: Final[Query] = {}
_REPORTED: Final = ("pid", "index", "version", "started_s", "ready", "issuers")

_TEXTS: Final = ("by", "partner", "route", "to", "why", "kid", "thumbprint", "issuer", "jti", "sub", "sid")
_NUMBERS: Final = ("canary_percent", "enforce_on_s", "issued_before")
_FIELDS: Final = {
    "promote": (
        "by",
        "partner",
        "route",
        "to",
        "canary_percent",
        "enforce_on_s",
        "why",
        "force",
        "including_partners",
    ),
    "rollback": ("by", "partner", "route", "to", "why"),
    "freeze": ("by", "why"),
    "thaw": ("by", "why"),
    "revoke": ("kid", "thumbprint", "issuer", "jti", "issued_before", "sub", "sid", "drill"),
    "unrevoke": ("kid", "thumbprint", "issuer", "jti", "issued_before", "sub", "sid"),
    "reload": (),
}


class Refused(Exception):
    """An action is refused, with its answer."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.reply: Reply = (status, {"error": error})


class AdminActions:
    """The actions that an administrator asks for.

    Args:
        state: The worker's share of the sidecar.
        secret: What a caller must show as a bearer token, or None where the socket's owner is enough.
    """

    def __init__(self, state: WorkerState, secret: str | None) -> None:
        self._state = state
        self._digest = None if secret is None else hashlib.sha256(secret.encode()).digest()
        self._alone = state.settings.workers == 1
        self._showing = {
            "status": self._status,
            "keys": self._keys,
            "config": self._config,
            "rollout": self._readiness,
            "status.json": self._snapshot,
        }
        self._doing: dict[str, tuple[Kind, Callable[[dict[str, Any]], dict[str, Any] | None]]] = {
            "promote": ("rollout", self._promote),
            "rollback": ("rollout", self._rollback),
            "freeze": ("rollout", self._freeze),
            "thaw": ("rollout", self._thaw),
            "revoke": ("revocations", self._revoke),
            "unrevoke": ("revocations", self._unrevoke),
            "reload": ("config", self._reload),
        }

    def handle(
        self, method: str, path: str, authorization: list[str], body: bytes, *, query: str = ""
    ) -> Reply:
        """Handle one request; may wait, so never on a loop.

        Args:
            method: The HTTP method.
            path: The path.
            authorization: The values of the Authorization header.
            body: A JSON object with the action's arguments, or nothing.
            query: What follows the path, without the question mark.

        Returns:
            Status and JSON members: 200; 202 where a worker is still behind, or a revocation holds in all of
            them and its store does not have it yet; 400, 401, 404, 405, 409; 503 where nothing was changed.
        """
        started_ns = time.monotonic_ns()
        name = path.removeprefix(PATH) if path.startswith(PATH) else ""
        if not self.admits(authorization, basic=name in BROWSED):
            return 401, {"error": "unauthorized"}
        shown = self._showing.get(name)
        if shown is not None:
            if method != "GET":
                return 405, {"error": "method_not_allowed"}
            return 200, shown(parse_qs(query))
        if name not in self._doing:
            return 404, {"error": "not_found"}
        if method != "POST":
            return 405, {"error": "method_not_allowed"}
        kind, act = self._doing[name]
        try:
            found = _arguments(name, body)
            is_drill = bool(found.pop("drill", False))
            outcome = act(found)
        except Refused as refused:
            return refused.reply
        except ConfigurationError as refused:
            status = 503 if refused.code == "rollout_not_written" else 409
            return status, {"error": refused.code, "detail": str(refused)}
        except RapidJWSError as fault:
            return 503, {"error": fault.code, "detail": str(fault)}
        kept = (outcome or {}).get("stored", True)
        changes = self._state.change_bus.announce(kind if kept else "pending_revocations", started_ns)
        whole = self._state.change_bus.wait(changes, WAIT_S)
        if whole and name == "revoke":
            elapsed_s = (time.monotonic_ns() - started_ns) / 1e9
            self._state.app.recorder.revoked(found.get("issuer"), elapsed_s, drill=is_drill)
        return 200 if whole and kept else 202, {**self._status(), **(outcome or {})}

    def admits(self, authorization: list[str], *, basic: bool = False) -> bool:
        """Return whether a caller shows the secret; how long it takes does not depend on what it shows.

        Args:
            authorization: The values of the Authorization header.
            basic: Whether it may be a password (RFC 7617), as a browser sends it: for reading only, as it
                goes with requests that other sites cause too.
        """
        if self._digest is None:
            return True
        scheme, _, given = (authorization[0] if len(authorization) == 1 else "").partition(" ")
        scheme, given = scheme.lower(), given.strip()
        if scheme == "basic" and basic:
            given = _password(given)
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._digest) and scheme in (
            "bearer",
            *(("basic",) if basic else ()),
        )

    def _status(self, wanted: Query = _NOTHING) -> dict[str, Any]:
        state = self._state
        plan = plan_members(state.rollout.state.plan())
        return {
            "ready": state.engine.ready,
            "plan": plan,
            "revocations": len(state.engine.revocations()),
            "pending_revocations": len(state.change_bus.pending.listed()),
            "workers": [asdict(worker) for worker in state.change_bus.workers()],
        }

    def _keys(self, wanted: Query = _NOTHING) -> dict[str, Any]:
        """Return the keys of each worker, which fetches at its own times, and which of them differ.

        With ``fresh=1`` each set is fetched once more, for comparison; with ``jwks=1`` public members are
        shown.
        """
        engine = self._state.engine
        with_jwks = wanted.get("jwks") == ["1"]
        reports = live_reports(self._state.change_bus, self._state.writer)
        own = next(report for report in reports if report["pid"] == os.getpid())
        shown = {
            "worker": os.getpid(),
            "version": __version__,
            "ready": engine.ready,
            "issuers": own["issuers"],
            "workers": [{name: report[name] for name in _REPORTED} for report in reports],
            "differs": differences(reports),
            "revocations": [one.as_dict() for one in engine.revocations()],
        }
        if with_jwks:
            shown["jwks"] = {
                issuer.name: public_members(engine.key_state(issuer.name).keys or ())
                for issuer in engine.issuers
            }
        if wanted.get("fresh") == ["1"]:
            shown["fresh"] = probe_all(engine, with_jwks=with_jwks)
        return shown

    def _config(self, wanted: Query = _NOTHING) -> dict[str, Any]:
        """Return the configuration that this worker goes by; of passwords in it only what compares them."""
        salt = secrets.token_bytes(16)
        tables = without_secrets(self._state.app.tables(), salt)
        return {
            "worker": os.getpid(),
            "salt": salt.hex(),
            "tables": json.loads(json.dumps(tables, default=str)),
        }

    def _readiness(self, wanted: Query = _NOTHING) -> dict[str, Any]:
        """Return the readiness report on all workers' evidence, and which of them hold another plan."""
        rollout = self._state.rollout
        report = readiness(rollout, int(time.time())).as_dict()
        revision = rollout.state.plan().revision
        reports = live_reports(self._state.change_bus, self._state.writer)
        workers = [{"pid": one["pid"], "revision": one["revision"]} for one in reports]
        newest = max((revision, *(one["revision"] for one in workers)))
        differs = [one["pid"] for one in workers if one["revision"] != newest]
        return {"worker": os.getpid(), "report": report, "workers": workers, "differs": differs}

    def _snapshot(self, wanted: Query = _NOTHING) -> dict[str, Any]:
        """Return what the status page shows."""
        if self._state.status is None:
            raise error_for("internal_error", "status")
        return self._state.status.snapshot()

    # --- the actions -------------------------------------------------------------------------------------

    def _rollout_kept(self) -> Any:
        rollout = self._state.rollout
        if isinstance(rollout.state, MemoryState) and not self._alone:
            raise Refused(409, "rollout.state: the workers share no folder")
        return rollout

    def _promote(self, found: dict[str, Any]) -> dict[str, Any] | None:
        rollout = self._rollout_kept()
        rollout.promote(**found)
        if found.get("partner") is not None:
            return None
        return {"left_behind": [asdict(one) for one in rollout.left_behind(found.get("route", ""))]}

    def _rollback(self, found: dict[str, Any]) -> None:
        self._rollout_kept().rollback(**found)

    def _freeze(self, found: dict[str, Any]) -> None:
        self._rollout_kept().freeze(**found)

    def _thaw(self, found: dict[str, Any]) -> None:
        self._rollout_kept().thaw(**found)

    def _revocations_kept(self) -> Any:
        engine = self._state.engine
        if engine._store is None and not self._alone:
            message = "revocations: the workers share no store: write [revocations], and restart"
            raise Refused(409, message)
        return engine

    def _revoke(self, found: dict[str, Any]) -> dict[str, Any] | None:
        engine = self._revocations_kept()
        self._state.change_bus.pending.check_fits(Revocation(**found))
        try:
            engine.revoke(**found)
        except DependencyUnavailable as fault:
            self._state.change_bus.pending.add(Revocation(**found))
            words = "it holds in every worker of this service, and ends with it; the store is asked again"
            return {"stored": False, "error": fault.code, "detail": f"{fault}; {words}"}
        return None

    def _unrevoke(self, found: dict[str, Any]) -> None:
        engine = self._revocations_kept()
        wanted = {name: value for name, value in found.items() if value is not None}
        for one in engine.revocations():
            if {name: value for name, value in one.as_dict().items() if value is not None} == wanted:
                engine.unrevoke(one)
                if self._state.change_bus.pending.remove(one):
                    self._state.change_bus.announce("pending_revocations", time.monotonic_ns())
                return
        raise Refused(404, "no such revocation")

    def _reload(self, found: dict[str, Any]) -> None:
        self._state.app.reload()


def _password(credentials: str) -> str:
    """Return the password of Basic credentials, or nothing where they are none; any user name will do."""
    try:
        octets = base64.b64decode(credentials.encode("ascii"), validate=True)
        return octets.decode("utf-8").partition(":")[2]
    except ValueError:
        return ""


def _arguments(name: str, body: bytes) -> dict[str, Any]:
    """Return the arguments of an action.

    Raises:
        Refused: They are no JSON object, or hold what the action does not take.
    """
    try:
        found = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise Refused(400, "body: a JSON object expected") from None
    if not isinstance(found, dict):
        raise Refused(400, "body: a JSON object expected")
    for place, value in found.items():
        if place not in _FIELDS[name]:
            raise Refused(400, f"body: {name} takes {', '.join(_FIELDS[name]) or 'nothing'}")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = number if place in _NUMBERS else isinstance(value, str if place in _TEXTS else bool)
        if not fits and value is not None:
            raise Refused(400, f"body.{place}: of another type")
    if "by" in _FIELDS[name]:
        found.setdefault("by", "the admin listener")
    if found.get("to") is not None:
        try:
            checked_phase(found["to"])
        except RapidJWSError as refused:
            raise Refused(400, str(refused)) from None
    return {place: value for place, value in found.items() if value is not None}
