"""Checks of public arguments against their own annotations: one rule for the whole package.

``@checked`` stands on a public constructor or function. A value of another type than the annotation names is
refused with ``configuration_invalid``: the parameter, what to pass, and what was found. Nothing is converted
and nothing truthy counts as True. Ranges and meaning are checked by the callable itself, after this.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar, Union

from rapidjws.errors import RapidJWSError, error_for

Target = TypeVar("Target", bound=Callable[..., Any])

FLOAT_MAX: Final = 1e300
"""Larger numbers are no time, size or rate."""

_COMMON: Final = {name: getattr(collections.abc, name) for name in collections.abc.__all__} | {
    "Any": Any,
    "Literal": Literal,
}
_PATHS: Final = (os.PathLike,)
_BUFFERS: Final = (str, bytes, bytearray, memoryview)


class Rule(NamedTuple):
    """What an annotation demands.

    Attributes:
        fits: Says whether a value is of the type.
        words: What to pass.
    """

    fits: Callable[[Any], bool]
    words: str


def is_text(value: object) -> bool:
    """Say whether a value is text that UTF-8 can hold."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode("utf-8"))
    except UnicodeEncodeError:  # RFC 7493 s.2.1: a lone surrogate is no character
        return False


def is_whole(value: object) -> bool:
    """Say whether a value is an integer; a boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_system_text(value: object) -> bool:
    """Return whether a value, where it is a text, can be the name of a file, a host or a header."""
    if not isinstance(value, str):
        return True
    return "\0" not in value and not any("\ud800" <= one <= "\udfff" for one in value)


def is_number(value: object) -> bool:
    """Say whether a value is a finite number that a float can hold; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return (
        math.isfinite(value) and abs(value) <= FLOAT_MAX
        if isinstance(value, float)
        else (abs(value) <= FLOAT_MAX)
    )


_PLAIN: Final[dict[Any, Rule]] = {
    Any: Rule(lambda value: True, "anything"),
    object: Rule(lambda value: True, "anything"),
    None: Rule(lambda value: value is None, "None"),
    type(None): Rule(lambda value: value is None, "None"),
    str: Rule(is_text, "a string"),
    bool: Rule(lambda value: isinstance(value, bool), "True or False"),
    int: Rule(is_whole, "a whole number"),
    float: Rule(is_number, "a finite number"),
    bytes: Rule(lambda value: isinstance(value, bytes), "bytes"),
    bytearray: Rule(lambda value: isinstance(value, bytearray), "bytearray"),
    memoryview: Rule(lambda value: isinstance(value, memoryview), "memoryview"),
}


def rule_of(hint: Any) -> Rule:
    """Return the rule for an evaluated annotation."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return Rule(
            lambda value: any(type(value) is type(one) and value == one for one in arguments),
            " or ".join(repr(one) for one in arguments),
        )
    if origin is collections.abc.Callable or hint is collections.abc.Callable:
        return Rule(callable, "a function")
    if origin is type:
        return Rule(lambda value: isinstance(value, type), "a class")
    if origin is typing.Annotated:
        return rule_of(arguments[0])
    if origin in _PATHS:
        return Rule(lambda value: isinstance(value, os.PathLike), "a path")
    if isinstance(origin, type):
        return _container(origin, arguments)
    if isinstance(hint, type):
        return _protocol(hint) if getattr(hint, "_is_protocol", False) else _class(hint)
    return _PLAIN[Any]  # a type variable


def _union(arguments: tuple[Any, ...]) -> Rule:
    rules = [rule_of(one) for one in arguments]
    kinds = [typing.get_origin(one) or one for one in arguments]
    if any(isinstance(one, type) and issubclass(one, _PATHS) for one in kinds):
        rules.append(Rule(lambda value: isinstance(value, str), "a string"))  # any name that a folder holds
    words = " or ".join(dict.fromkeys(rule.words for rule in rules))
    return Rule(lambda value: any(rule.fits(value) for rule in rules), words)


def _class(hint: type) -> Rule:
    if hint in (Iterable, Collection, collections.abc.Sequence):
        return _container(hint, ())
    return Rule(lambda value: isinstance(value, hint), f"{_article(hint.__name__)} {hint.__name__}")


def _article(name: str) -> str:
    return "an" if name[:1] in "AEIOU" else "a"


def _protocol(hint: type) -> Rule:
    """Return the rule of a Protocol: an instance that has its members, whatever its class."""
    names: set[str] = set()
    for base in hint.__mro__:
        if getattr(base, "_is_protocol", False):
            own = [*vars(base), *getattr(base, "__annotations__", ())]
            names |= {name for name in own if not name.startswith("_") or name == "__call__"}
    if names == {"__call__"}:
        return Rule(callable, f"a function ({hint.__name__})")

    def fits(value: Any) -> bool:
        return not isinstance(value, type) and all(hasattr(type(value), name) or hasattr(value, name)
                                                   for name in names)  # fmt: skip

    shown = ", ".join(sorted(names))
    return Rule(fits, f"{_article(hint.__name__)} {hint.__name__}: an object with {shown}")


def _container(origin: type, arguments: tuple[Any, ...]) -> Rule:
    """Return the rule of a container: a string is no list of letters, a mapping no list of names."""
    is_mapping = issubclass(origin, Mapping)
    fixed = origin is tuple and arguments and arguments[-1] is not Ellipsis
    kinds = [rule_of(one) for one in arguments if one is not Ellipsis]
    of = f" of {kinds[-1].words}" if kinds and kinds[-1].words != "anything" else ""

    def fits(value: Any) -> bool:
        if not isinstance(value, origin) or isinstance(value, _BUFFERS):
            return False
        if isinstance(value, Mapping) != is_mapping:
            return False
        if not kinds or not isinstance(value, Collection):
            return True  # an iterator is used once, by the callable
        if isinstance(value, Mapping):
            return all(kinds[0].fits(name) and kinds[-1].fits(one) for name, one in value.items())
        if fixed:
            return len(value) == len(kinds) and all(
                rule.fits(one) for rule, one in zip(kinds, value, strict=True)
            )
        return all(kinds[0].fits(one) for one in value)

    if is_mapping:
        return Rule(fits, f"a mapping{of}")
    if fixed:
        return Rule(fits, f"a tuple of {len(kinds)}")
    return Rule(fits, f"a list{of}" if origin is not tuple else f"a tuple{of}")


def octets_of(value: str | bytes | bytearray | memoryview) -> bytes:
    """Return text as UTF-8 octets, and a buffer as octets that nobody can change."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)


def refused(name: str, words: str, value: object) -> RapidJWSError:
    """Return the error for an argument of the wrong type."""
    return error_for("configuration_invalid", name, expected=words, actual=type(value).__name__)


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Refuse a number that is not from ``least`` to ``most``.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the parameter as its place.
    """
    if not least <= value <= most:
        raise error_for(
            "configuration_invalid", name, f"{least} to {most}", "less" if value < least else "more"
        )


def _hints(function: Any, but: Collection[str]) -> dict[str, Any]:
    """Return the evaluated annotations; those left out may name what is loaded later."""
    bare = types.FunctionType((lambda: None).__code__, function.__globals__)
    bare.__annotations__ = {
        name: hint for name, hint in function.__annotations__.items() if name not in {*but, "return"}
    }
    return typing.get_type_hints(bare, localns=_COMMON)


class Arguments:
    """The rules of one callable's parameters, read from its annotations.

    Args:
        function: The callable; its annotations must be names of its module.
        but: Parameters that the callable checks itself, as it takes several forms.
        under: What an error's place begins with, a dot after it; empty for nothing.
    """

    __slots__ = ("_more", "_named", "_order", "_under")

    def __init__(self, function: Callable[..., Any], but: Collection[str] = (), under: str = "") -> None:
        self._under = f"{under}." if under else ""
        hints = _hints(function, but)
        self._order: list[str] = []
        self._named: dict[str, Rule] = {}
        self._more: dict[Any, tuple[str, Rule]] = {}
        for parameter in inspect.signature(function).parameters.values():
            rule = rule_of(hints.get(parameter.name, Any))
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self._more[parameter.kind] = (parameter.name, rule)
                continue
            self._named[parameter.name] = rule
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self._order.append(parameter.name)

    def check(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Refuse the first argument that is of another type than its annotation.

        Raises:
            ConfigurationError: ``configuration_invalid``, with the parameter as its place.
        """
        for name, value in zip(self._order, given, strict=False):
            self._check_one(name, self._named[name], value)
        name_and_rule = self._more.get(inspect.Parameter.VAR_POSITIONAL)
        if name_and_rule is not None:
            for value in given[len(self._order) :]:
                self._check_one(*name_and_rule, value)
        for name, value in named.items():
            rule = self._named.get(name)
            if rule is not None:
                self._check_one(name, rule, value)

    def _check_one(self, name: str, rule: Rule, value: Any) -> None:
        if not rule.fits(value):
            raise refused(f"{self._under}{name}", rule.words, value)


@typing.overload
def checked(target: Target) -> Target: ...
@typing.overload
def checked(*, but: Collection[str] = (), under: str = "") -> Callable[[Target], Target]: ...
def checked(target: Any = None, *, but: Collection[str] = (), under: str = "") -> Any:
    """Check the arguments of a function, or of a class's constructor, against their annotations.

    The annotations are read at the first call, so importing costs nothing.

    Args:
        target: The function, or the class; a dataclass is decorated above its own decorator.
        but: Parameters that the callable checks itself, as it takes several forms.
        under: What an error's place begins with: ``partner`` gives ``partner.name``.

    Returns:
        The same class, or a function with the same signature.

    Raises:
        ConfigurationError: At a call: ``configuration_invalid``, with the parameter as its place.
    """
    if target is None:
        return functools.partial(_checked, but=but, under=under)
    return _checked(target, but, under)


def _checked(target: Any, but: Collection[str], under: str) -> Any:
    if isinstance(target, type):
        plain = target.__init__  # type: ignore[misc]
        setattr(target, "__init__", _wrapped(plain, but, under))  # noqa: B010  mypy refuses the plain assignment
        return target
    return _wrapped(target, but, under)


def _wrapped(function: Callable[..., Any], but: Collection[str], under: str) -> Callable[..., Any]:
    found: list[Arguments] = []

    def check(given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if not found:
            found.append(Arguments(function, but, under))
        found[0].check(given, named)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_later(*given: Any, **named: Any) -> Any:
            check(given, named)
            return await function(*given, **named)

        return call_later

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        check(given, named)
        return function(*given, **named)

    return call
