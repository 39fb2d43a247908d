"""Those who want to know of a change: bound methods, held weakly, so that listening keeps nobody alive."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from rapidjws._checks import refused

if TYPE_CHECKING:
    from collections.abc import Callable


class WeakListeners:
    """Bound methods to be called when something changed."""

    __slots__ = ("_methods",)

    def __init__(self) -> None:
        self._methods: tuple[WeakMethod[Any], ...] = ()

    def add(self, changed: Callable[[], None]) -> None:
        """Add a bound method; those that are gone are forgotten.

        Raises:
            ConfigurationError: ``configuration_invalid``: no bound method, which could not be held weakly.
        """
        if not isinstance(changed, MethodType):
            raise refused("changed", "a bound method", changed)
        self._methods = (*(one for one in self._methods if one() is not None), WeakMethod(changed))

    def call(self) -> Exception | None:
        """Call all of them, and return the first fault: one's fault stops no other."""
        first: Exception | None = None
        for reference in self._methods:
            changed = reference()
            if changed is None:
                continue
            try:
                changed()
            except Exception as fault:
                first = first or fault
        return first
