"""A system whose n-th call fails, falls short, or is the last one before the process is killed.

It stands in for ``os`` and ``fcntl`` in the two modules that open, write and lock files, so every call of a
change passes through here. A killed process does nothing more: its descriptors are closed, no clean-up runs.
"""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rapidjws import _files, _locks

CALLS = (
    "open", "close", "read", "write", "pread", "fsync", "fstat", "stat", "lstat", "readlink", "replace",
    "unlink", "ftruncate", "fchown",
)  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


class FaultySystem:
    """System calls that are counted; one of them does something else.

    Args:
        at: Number of that call, from 0 on.
        fault: What it does instead: ``"kill"`` before it, ``"kill after"`` it, ``"short"`` writes one octet,
            or the name of an error.
    """

    def __init__(self, at: int = -1, fault: str = "kill") -> None:
        self.at = at
        self.fault = fault
        self.trace: list[str] = []
        self._open: set[int] = set()
        self._is_dead = False
        self._thread = threading.get_ident()

    def call(self, name: str, real: Callable[..., Any], *words: Any, **named: Any) -> Any:
        """Make one call, or what stands in its place."""
        if threading.get_ident() != self._thread:  # a timer of another test
            return real(*words, **named)
        if self._is_dead:
            raise Killed
        number = len(self.trace)
        self.trace.append(name)
        if number == self.at:
            if self.fault == "kill":
                self._die()
            if self.fault == "short" and name == "write":
                return real(words[0], bytes(words[1])[:1])
            if self.fault.startswith("E") and name != "close":
                raise OSError(getattr(errno, self.fault), self.fault)
        answer = real(*words, **named)
        if name == "open":
            self._open.add(answer)
        elif name == "close":
            self._open.discard(words[0])
        if number == self.at and self.fault == "kill after":
            self._die()
        return answer

    def _die(self) -> None:
        self._is_dead = True
        for descriptor in self._open:
            os.close(descriptor)
        raise Killed


class _Module:
    def __init__(self, system: FaultySystem, real: Any, calls: tuple[str, ...]) -> None:
        self._system, self._real, self._calls = system, real, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self._calls:
            return found
        return lambda *words, **named: self._system.call(name, found, *words, **named)


@contextmanager
def faulty(at: int = -1, fault: str = "kill") -> Iterator[FaultySystem]:
    """Run what is inside on a system whose call of that number has a fault."""
    system = FaultySystem(at, fault)
    gc.disable()  # what others left behind is not to be closed in here
    try:
        with _in_place(system):
            yield system
    finally:
        gc.enable()


@contextmanager
def _in_place(system: FaultySystem) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (_files, _locks):
            patch.setattr(module, "os", _Module(system, os, CALLS))
        patch.setattr(_locks, "fcntl", _Module(system, _locks.fcntl, ("flock",)))
        yield


def calls_of(change: Callable[[], object]) -> list[str]:
    """Return the names of the calls that a change makes where nothing fails."""
    with faulty() as system:
        change()
    return system.trace
