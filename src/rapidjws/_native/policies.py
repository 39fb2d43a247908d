"""Claims policies in the shape the core reads."""

from __future__ import annotations

from rapidjws._native.core import ffi, lib

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

RULE_ONE_OF: Final[int] = lib.RJ_RULE_ONE_OF
RULE_CONTAINS_ALL: Final[int] = lib.RJ_RULE_CONTAINS_ALL
RULE_CONTAINS_ANY: Final[int] = lib.RJ_RULE_CONTAINS_ANY
RULE_CONTAINS_ONLY: Final[int] = lib.RJ_RULE_CONTAINS_ONLY
RULE_PREFIX: Final[int] = lib.RJ_RULE_PREFIX
RULE_PATTERN: Final[int] = lib.RJ_RULE_PATTERN
RULE_PRESENT: Final[int] = lib.RJ_RULE_PRESENT
RULE_ABSENT: Final[int] = lib.RJ_RULE_ABSENT
RULE_OBJECT: Final[int] = lib.RJ_RULE_OBJECT
RULE_NON_EMPTY_OBJECT: Final[int] = lib.RJ_RULE_NON_EMPTY_OBJECT


class NativePolicy:
    """One issuer's claims policy in the shape the core reads.

    Args:
        issuer: The exact ``iss``; None: it is not compared.
        audiences: Accepted ``aud`` values.
        required: Claim names that must be there.
        leeway_s: Whole seconds.
        max_age_s: Whole seconds, or None.
        exp_required: Whether a token without ``exp`` is refused.
        audience_checked: Whether ``aud`` is compared.
        other_issuers: Further values of ``iss`` that pass.
        template: Claim and suffix where ``issuer`` is what stands before a template's variable.
        rules: Rules of further claims.
        max_auth_age_s: Whole seconds, or None.
        has_more: Whether what passes here is left to the full checker.
    """

    __slots__ = (
        "audience_checked",
        "audiences",
        "exp_required",
        "has_more",
        "issuer",
        "leeway_s",
        "max_age_s",
        "max_auth_age_s",
        "other_issuers",
        "required",
        "rules",
        "template",
    )

    def __init__(
        self,
        issuer: str | None,
        audiences: Sequence[str],
        required: Sequence[str],
        *,
        leeway_s: int,
        max_age_s: int | None,
        exp_required: bool,
        audience_checked: bool = True,
        other_issuers: Sequence[str] = (),
        template: tuple[str, str] | None = None,
        rules: Sequence[NativeRule] = (),
        max_auth_age_s: int | None = None,
        has_more: bool = False,
    ) -> None:
        self.issuer = None if issuer is None else issuer.encode()
        self.audience_checked = audience_checked
        self.audiences = [name.encode() for name in audiences]
        self.required = [name.encode() for name in required]
        self.leeway_s = leeway_s
        self.max_age_s = -1 if max_age_s is None else max_age_s
        self.max_auth_age_s = -1 if max_auth_age_s is None else max_auth_age_s
        self.exp_required = exp_required
        self.other_issuers = [name.encode() for name in other_issuers]
        self.template = None if template is None else [part.encode() for part in template]
        self.rules = rules
        self.has_more = has_more


class NativeRule:
    """One rule of a claim in the shape the core reads; see ``rj_claim_rule``.

    Args:
        kind: One of the ``RULE_`` numbers.
        path: Member names in UTF-8.
        or_next: Whether the rule after it may pass instead.
        texts: Strings in UTF-8, the shorter first, then in order of octets.
        integers: Whole numbers in decimal.
        has_true: Whether ``true`` is one of the values.
        has_false: Whether ``false`` is.
        has_decimal: Whether a number with a fraction is.
        tables: Of a pattern: classes, states and which of these accept.
    """

    __slots__ = (
        "has_decimal",
        "has_false",
        "has_true",
        "integers",
        "kind",
        "or_next",
        "path",
        "tables",
        "texts",
    )

    def __init__(
        self,
        kind: int,
        path: tuple[bytes, ...],
        *,
        or_next: bool = False,
        texts: tuple[bytes, ...] = (),
        integers: tuple[bytes, ...] = (),
        has_true: bool = False,
        has_false: bool = False,
        has_decimal: bool = False,
        tables: tuple[bytes, bytes, bytes] | None = None,
    ) -> None:
        self.kind, self.path, self.or_next = kind, path, or_next
        self.texts, self.integers, self.tables = texts, integers, tables
        self.has_true, self.has_false, self.has_decimal = has_true, has_false, has_decimal


class PolicyArray:
    """The array of claims policies and every byte that it points to."""

    __slots__ = ("_kept", "array", "len")

    def __init__(self, policies: Sequence[NativePolicy]) -> None:
        self.len = len(policies)
        self._kept: list[Any] = []
        self.array = ffi.new("rj_claims_policy[]", self.len)
        for row, policy in zip(self.array, policies, strict=True):
            if policy.issuer is not None:  # else the pointer stays NULL: iss is not compared
                row.issuer = self._span(policy.issuer)
            row.audiences_len, row.audiences = self._spans(policy.audiences)
            row.required_len, row.required = self._spans(policy.required)
            row.other_issuers_len, row.other_issuers = self._spans(policy.other_issuers)
            if policy.template is not None:
                row.issuer_claim, row.issuer_suffix = map(self._span, policy.template)
            row.rules_len, row.rules = len(policy.rules), self._rules(policy.rules)
            row.max_auth_age_s = policy.max_auth_age_s
            row.leeway_s = policy.leeway_s
            row.max_age_s = policy.max_age_s
            row.flags = (
                (0 if policy.exp_required else lib.RJ_CLAIMS_EXP_OPTIONAL)
                | (0 if policy.audience_checked else lib.RJ_CLAIMS_AUD_UNCHECKED)
                | (lib.RJ_CLAIMS_HAS_MORE if policy.has_more else 0)
            )

    def _rules(self, rules: Sequence[NativeRule]) -> Any:
        if not rules:
            return ffi.NULL
        array = ffi.new("rj_claim_rule[]", len(rules))
        self._kept.append(array)
        for row, rule in zip(array, rules, strict=True):
            row.kind = rule.kind
            row.path_len, row.path = self._spans(rule.path)
            row.texts_len, row.texts = self._spans(rule.texts)
            row.integers_len, row.integers = self._spans(rule.integers)
            row.flags = (lib.RJ_RULE_OR_NEXT if rule.or_next else 0) | (
                lib.RJ_RULE_HAS_DECIMAL if rule.has_decimal else 0
            )
            row.literals = (lib.RJ_RULE_TRUE if rule.has_true else 0) | (
                lib.RJ_RULE_FALSE if rule.has_false else 0
            )
            if rule.tables is not None:
                self._pattern(row.pattern, *rule.tables)
        return array

    def _pattern(self, row: Any, classes: bytes, following: bytes, accepting: bytes) -> None:
        held = [ffi.from_buffer("uint8_t[]", classes), ffi.from_buffer("uint16_t[]", following),
                ffi.from_buffer("uint8_t[]", accepting)]  # fmt: skip
        self._kept += held
        row.classes, row.next, row.accepting = held
        row.classes_len, row.states_len = max(classes) + 1, len(accepting)

    def _span(self, text: bytes) -> Any:
        held = ffi.new("uint8_t[]", text or b"\0")
        self._kept.append(held)
        return {"ptr": held, "len": len(text)}

    def _spans(self, texts: Sequence[bytes]) -> tuple[int, Any]:
        if not texts:
            return 0, ffi.NULL
        held = ffi.new("rj_span[]", [self._span(text) for text in texts])
        self._kept.append(held)
        return len(texts), held
