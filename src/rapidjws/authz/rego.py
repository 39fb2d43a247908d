"""Policies in Rego, evaluated in this process; needs the extra ``rego``.

Source: Open Policy Agent, policy language (version 1 of Rego by ``import rego.v1``).
"""

from __future__ import annotations

import itertools
import re
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

import orjson

from rapidjws._checks import checked
from rapidjws.authz.facts import Unmet
from rapidjws.authz.policy_input import PARTS_DEFAULT, PATH, PolicyInput
from rapidjws.authz.work_bound import CPU_S_DEFAULT, INPUT_BYTES_DEFAULT, WorkBound
from rapidjws.errors import error_for

try:
    from hobofan_regorus import Engine
except ImportError as missing:
    raise ImportError("policies in Rego need: pip install 'rapidjws[rego]'") from missing

if TYPE_CHECKING:
    from collections.abc import Collection

    from rapidjws.authz.facts import Check, Facts

SOURCE_MAX_CHARS: Final = 256 * 1024
_OUTSIDE: Final = re.compile(r"\b(?:http\.send|net\.\w+|opa\.runtime|rand\.\w+|uuid\.\w+|print|trace)\s*\(")
_EMPTY: Final = '{"claims":{},"header":{},"request":{},"partner":"","issuer":""}'
_REFUSED: Final = Unmet("policy_refused", "rego")
_UNAVAILABLE: Final = Unmet("policy_unavailable", "rego")
_SERIALS: Final = itertools.count()


class _Evaluators(threading.local):
    """The evaluators of one thread, by policy. The library lets no other thread use or free one of them.

    No policy holds an evaluator: whoever drops a policy, or collects it as garbage, may be any thread.
    """

    def __init__(self) -> None:
        self.made: dict[int, tuple[weakref.ref[_Policy], Any]] = {}

    def of(self, policy: _Policy) -> Any:
        """Return the policy's evaluator for this thread, made at the first question."""
        kept = self.made.get(policy.serial)
        return self._make(policy) if kept is None else kept[1]

    def _make(self, policy: _Policy) -> Any:
        """Make an evaluator, and free those of policies that are no more, a reload's predecessors."""
        for serial in [serial for serial, (made_of, _) in self.made.items() if made_of() is None]:
            del self.made[serial]
        evaluator = _evaluator(policy.source)
        evaluator.set_input_json(_EMPTY)
        evaluator.eval_rule(policy.rule)  # it reads its policies at the first question
        self.made[policy.serial] = (weakref.ref(policy), evaluator)
        return evaluator

    def drop(self, policy: _Policy) -> None:
        """Free the policy's evaluator of this thread."""
        self.made.pop(policy.serial, None)


class _Policy:
    """What evaluators are made of."""

    __slots__ = ("__weakref__", "rule", "serial", "source")

    def __init__(self, source: str, rule: str) -> None:
        self.source, self.rule, self.serial = source, rule, next(_SERIALS)


def _evaluator(source: str) -> Any:
    made = Engine()
    made.add_policy("policy.rego", source)
    return made


_EVALUATORS: Final = _Evaluators()


@checked(under="rego")
class RegoPolicy:
    """A condition as a rule in Rego, which must be true. False, or a rule without a value, refuses.

    Args:
        source: The policy: one package. It sees ``input.claims``, ``input.header``, ``input.request``,
            ``input.partner``, ``input.issuer``.
        path: The rule: ``"rapidjws/allow"`` for ``allow`` of ``package rapidjws``.
        claims: Names of the claims it is given; empty for all.
        headers: Names of the headers it is given.
        parts: What it is given of the request: ``"method"``, ``"host"``, ``"path"``.
        max_input_bytes: Largest input, as JSON, that is evaluated; what is larger is undecided.
        max_cpu_s: Most seconds of a processor for an evaluation. It cannot be stopped: one that took longer
            is undecided, and for ten times as long so are inputs as large.

    Raises:
        ConfigurationError: ``configuration_invalid``: it cannot be read, has no such rule, or calls
            what reaches out of it (``http.send``).
    """

    __slots__ = ("_bound", "_input", "_policy", "blocking", "header_fields", "path",
                 "reads_host", "reads_method")  # fmt: skip

    def __init__(
        self,
        source: str,
        *,
        path: str,
        claims: Collection[str] = (),
        headers: Collection[str] = (),
        parts: Collection[str] = PARTS_DEFAULT,
        max_input_bytes: int = INPUT_BYTES_DEFAULT,
        max_cpu_s: float = CPU_S_DEFAULT,
    ) -> None:
        if not PATH.match(path):
            raise error_for("configuration_invalid", "rego.path", "package/rule", path)
        if not 0 < len(source) <= SOURCE_MAX_CHARS:
            raise error_for("configuration_invalid", "rego.source", f"1 to {SOURCE_MAX_CHARS} characters")
        outside = _OUTSIDE.search(source)
        if outside is not None:
            raise error_for("configuration_invalid", "rego.source", "no call that reaches out", outside[0])
        self.path, self.blocking = path, False
        self._input = PolicyInput("rego", claims, headers, parts)
        self.header_fields = self._input.header_fields
        self.reads_method, self.reads_host = "method" in self._input.parts, "host" in self._input.parts
        self._bound = WorkBound("rego", max_input_bytes, max_cpu_s)
        self._policy = _Policy(source, "data." + path.replace("/", "."))
        self._try()

    def _try(self) -> None:
        """Make this thread's evaluator, or name what is wrong; no traceback keeps the evaluator."""
        policy = self._policy
        expected: tuple[str, ...] = ("a package of the policy", self.path)
        try:
            if policy.rule.rpartition(".")[0] in _evaluator(policy.source).get_packages():
                _EVALUATORS.of(policy)
                return
            place = "rego.path"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:  # the library's own panics are no Exception
            place, expected = "rego.source", (_words(fault),)
        raise error_for("configuration_invalid", place, *expected)

    def _ask(self, octets: bytes) -> Any:
        """Return the rule's value."""
        evaluator = _EVALUATORS.of(self._policy)
        try:
            evaluator.set_input_json(octets.decode())
            return evaluator.eval_rule(self._policy.rule)
        except BaseException:  # what it left half done is not used again
            _EVALUATORS.drop(self._policy)
            raise

    def check(self) -> Check:
        """Return the check of a request: false or nothing refuses, and what fails is undecided."""
        given, ask, bound, policy = self._input, self._ask, self._bound, self._policy

        def check(facts: Facts) -> Unmet | None:
            found = given.of(facts)
            if isinstance(found, Unmet):
                return found
            try:
                octets = orjson.dumps(found)
                _EVALUATORS.of(policy)  # its making is no work of this input
                value = bound.run(len(octets), ask, octets)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # the library's own panics are no Exception
                return _UNAVAILABLE
            if value is True:
                return None
            return _REFUSED if value is False or value is None else _UNAVAILABLE

        return check

    def __repr__(self) -> str:
        return f"RegoPolicy(path={self.path!r})"


def _words(fault: BaseException) -> str:
    """Return a parser's words with line and column, on one line."""
    text = str(fault).partition("Stack backtrace")[0]
    place, error = re.search(r"-->\s*policy\.rego:(\d+):(\d+)", text), re.search(r"error: ([^\n]*)", text)
    what = error[1] if error else (text.strip().splitlines() or [type(fault).__name__])[0]
    return (what if place is None else f"line {place[1]}, column {place[2]}: {what}")[:200]
