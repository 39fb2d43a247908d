"""Issuers that are looked up, for tests of registries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import tokens

import rapidjws
from rapidjws import Issuer, IssuerRegistry

LIMIT_S = 60.0


def name_of(number: int) -> str:
    """Return the name of one of many issuers."""
    return f"https://tenant-{number}.example"


def issuer(iss: str, name: str = "k1", **options: Any) -> Issuer:
    """Return an issuer of one key."""
    return tokens.issuer("ES256", iss=iss, name=name, **options)


def token(iss: Any, name: str = "k1", **changes: Any) -> str:
    """Return a good token of an issuer."""
    return tokens.token("ES256", name, iss=iss, **changes)


class Directory:
    """Issuers by name, with a count of who asked."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.gone: set[str] = set()
        self.others: dict[str, Any] = {}
        self.most = most

    def __call__(self, iss: str) -> Any:
        """Return the issuer of a name."""
        self.asked.append(iss)
        self.threads.add(threading.get_ident())
        if iss in self.others:
            made = self.others[iss]
            return made() if callable(made) else made
        number = iss.removeprefix("https://tenant-").removesuffix(".example")
        known = number.isascii() and number.isdigit() and int(number) < self.most and iss not in self.gone
        return issuer(iss) if known else None


def registry(
    directory: Callable[[str], Any] | None = None, *issuers: Issuer, **options: Any
) -> IssuerRegistry:
    """Return a registry of tenants."""
    options.setdefault("workers", 1)
    options.setdefault("lookup_timeout_s", LIMIT_S)
    return IssuerRegistry(directory or Directory(), *issuers, **options)


def until(condition: Callable[[], bool]) -> None:
    """Wait, within a bound, until something holds that another thread does."""
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def code(call: Callable[[], Any]) -> str:
    """Return the code of a refusal, or ``ok``."""
    try:
        call()
    except rapidjws.RapidJWSError as refused:
        return refused.code
    return "ok"
