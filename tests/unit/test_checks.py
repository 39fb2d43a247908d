"""The one rule for public arguments: an annotation is what is accepted, and nothing else."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from rapidjws._checks import checked
from rapidjws.errors import ConfigurationError


class Clock(Protocol):
    """A protocol with one member."""

    def time(self) -> float:
        """Return a time."""


class Wall:
    """A clock by its shape alone."""

    def time(self) -> float:
        """Return a time."""
        return 1.0


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A settings class with one field of every kind of annotation."""

    name: str = "a"
    switch: bool = True
    count: int = 1
    seconds: float = 1.0
    octets: bytes = b""
    maybe: str | None = None
    names: Iterable[str] = ()
    pairs: tuple[str, int] = ("a", 1)
    several: tuple[str, ...] = ()
    rows: Sequence[Mapping[str, int]] = ()
    choice: Literal["deny", "accept"] = "deny"
    call: Callable[[], None] = print
    path: str | Path = "x"
    clock: Clock | None = None
    anything: Any = None


GOOD: list[tuple[str, Any]] = [
    ("name", ""), ("switch", False), ("count", 10**30), ("seconds", 1), ("seconds", -0.5), ("octets", b"x"),
    ("maybe", None), ("maybe", "x"), ("names", ["a"]), ("names", {"a"}), ("names", iter("ab")),
    ("pairs", ("b", 2)), ("several", ("a", "b")), ("rows", [{"a": 1}]), ("choice", "accept"),
    ("call", len), ("path", Path()), ("path", "\udcff"), ("clock", Wall()), ("anything", object()),
]  # fmt: skip
BAD: list[tuple[str, Any]] = [
    ("name", b"a"),
    ("name", None),
    ("name", "\ud800"),
    ("name", 1),
    ("switch", "false"),
    ("switch", 0),
    ("switch", None),
    ("count", True),
    ("count", 1.0),
    ("count", "1"),
    ("seconds", True),
    ("seconds", math.nan),
    ("seconds", math.inf),
    ("seconds", 10**400),
    ("seconds", "1"),
    ("octets", "x"),
    ("octets", bytearray(b"x")),
    ("maybe", 1),
    ("names", "ab"),
    ("names", b"ab"),
    ("names", {"a": "b"}),
    ("names", ["a", 1]),
    ("names", None),
    ("names", 1),
    ("pairs", ("a",)),
    ("pairs", (1, "a")),
    ("several", ["a"]),
    ("several", ("a", None)),
    ("rows", [{"a": "1"}]),
    ("rows", {"a": 1}),
    ("choice", "DENY"),
    ("choice", None),
    ("call", "print"),
    ("path", b"x"),
    ("path", 1),
    ("clock", object()),
    ("clock", Wall),
    ("clock", "wall"),
]


@pytest.mark.parametrize(("name", "value"), GOOD, ids=[f"{name}-{value!r:.20}" for name, value in GOOD])
def test_what_the_annotation_names_is_accepted(name: str, value: Any) -> None:
    """A value of the annotation's type is taken as it is."""
    assert getattr(Settings(**{name: value}), name) is value


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{value!r:.20}" for name, value in BAD])
def test_any_other_type_is_refused_by_name(name: str, value: Any) -> None:
    """A value of another type is refused with the parameter, what to pass, and what was found."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(**{name: value})
    assert (caught.value.code, caught.value.place) == ("configuration_invalid", name)
    assert caught.value.actual == type(value).__name__
    assert caught.value.expected


def test_the_words_say_what_to_pass() -> None:
    """The message names every type that is accepted, in plain words."""
    with pytest.raises(ConfigurationError, match=r"at maybe: .*expected 'a string or None', found 'int'"):
        Settings(maybe=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="expected 'True or False', found 'str'"):
        Settings(switch="false")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="a list of a string"):
        Settings(names="a")
    with pytest.raises(ConfigurationError, match=r"a Clock: an object with time"):
        Settings(clock=5)  # type: ignore[arg-type]


def test_functions_are_checked_by_position_and_by_name() -> None:
    """Positional, further and named arguments are all checked; the signature stays readable."""

    @checked
    def add(first: int, *more: int, scale: float = 1.0, **named: str) -> float:
        return (first + sum(more)) * scale

    assert add(1, 2, 3, scale=2, other="x") == 12
    for arguments, options, place in (
        (("1",), {}, "first"), ((1, None), {}, "more"), ((1,), {"scale": "2"}, "scale"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError) as caught:
            add(*arguments, **options)
        assert caught.value.place == place
    assert list(inspect.signature(add).parameters) == ["first", "more", "scale", "named"]


def test_a_wrong_number_of_arguments_is_the_languages_own_error() -> None:
    """A missing or unknown argument is a TypeError that names it."""
    with pytest.raises(TypeError, match="unknown"):
        Settings(unknown=1)  # type: ignore[call-arg]
