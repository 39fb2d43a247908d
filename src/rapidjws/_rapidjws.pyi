# The compiled module, as far as a type checker needs it: cffi gives no types. Only _native.py imports it.
from collections.abc import Callable
from typing import Any

class VerifiedToken:
    _token: str | bytes
    _key: Any
    issuer: str | None
    _payload: bytes | None
    _header: dict[str, Any] | None
    _claims: dict[str, Any] | None

class NativeSnapshot:
    def attach(
        self,
        address: int,
        accepted: type,
        slots: tuple[Any, ...],
        read: Callable[[bytes], Any],
        clock_floor_s: int,
        is_plain: bool,
        owner: object,
        counter_rows: bytes | None = None,
    ) -> None: ...
    def verify_one(self, token: object, now: float) -> Any: ...
    def verify_list(self, tokens: list[Any], now: float, is_alone: bool) -> list[Any]: ...
    def recheck(self, token: bytes, now: float, slot: int) -> Any: ...

class NativeEngine:
    _snapshot: Any
    _counters: Any
    _direct: bool
    def _verify_uncounted(self, token: Any, now: float | None = None, *, wait_s: float = 0.0) -> Any: ...

class Counters:
    _codes: dict[str, int]
    _issuers: dict[str | None, tuple[int, dict[str, int], dict[str, int]]]
    _verified: type
    def _attach(self, runtime: int) -> None: ...
    def count(self, issuer: str | None, partner: str, code: str, alg: str, elapsed_ns: int) -> None: ...
    def count_results(self, results: list[Any], elapsed_ns: int) -> None: ...

def verify_known(
    address: int, known: dict[str, Any], payload: object, signatures: object
) -> tuple[list[Any], list[int] | None] | None: ...
def b64url_decode(text: bytes) -> bytes | None: ...
def json_check(
    runtime: int, text: bytes, max_bytes: int, max_depth: int, max_members: int, any_root: bool
) -> tuple[int, int, int]: ...

ffi: Any
lib: Any
