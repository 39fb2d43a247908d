"""Claims policies in the shape the core reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws._native.core import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    """

    __slots__ = (
        "audience_checked",
        "audiences",
        "exp_required",
        "issuer",
        "leeway_s",
        "max_age_s",
        "required",
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
    ) -> None:
        self.issuer = None if issuer is None else issuer.encode()
        self.audience_checked = audience_checked
        self.audiences = [name.encode() for name in audiences]
        self.required = [name.encode() for name in required]
        self.leeway_s = leeway_s
        self.max_age_s = -1 if max_age_s is None else max_age_s
        self.exp_required = exp_required


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
            row.leeway_s = policy.leeway_s
            row.max_age_s = policy.max_age_s
            row.flags = (0 if policy.exp_required else lib.RJ_CLAIMS_EXP_OPTIONAL) | (
                0 if policy.audience_checked else lib.RJ_CLAIMS_AUD_UNCHECKED
            )

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
