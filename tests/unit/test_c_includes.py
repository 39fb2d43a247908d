"""The folders of native/ include each other one way only, and no C file includes itself through others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
ALLOWED: Mapping[str, frozenset[str]] = {
    "": frozenset(),
    "text": frozenset({""}),
    "hash": frozenset({""}),
    "rsa": frozenset({"", "hash"}),
    "ec": frozenset({"", "hash"}),
    "core": frozenset({"", "text", "hash", "rsa", "ec"}),
    "python": frozenset({"", "text", "core"}),
}
"""What a folder may include beside its own files; "" is native/ itself."""

CALLS: Mapping[str, frozenset[str]] = {
    "python_engine.c": frozenset({"_snapshot", "_verify", "complete_or_raise"}),
    "python_counters.c": frozenset({"_place_partner", "_place_claim"}),
    "python_token.c": frozenset({"_read_claims"}),
    "python_maker.c": frozenset({"__slots__"}),
}
"""Which methods and attributes written in Python the C types use: those of their own subclasses only, and
how the objects of a class are laid out."""

ALL_OF_IT = "rapidjws.h"
"""The header for cffi, which includes the others and which no C file includes."""


def includes_of(folder: Path) -> dict[str, list[str]]:
    """Return what each C file includes of ours, as written, by its path below the folder."""
    return {
        path.relative_to(folder).as_posix(): re.findall(
            r'^\s*#\s*include\s+"([^"]+)"', path.read_text("utf-8"), re.MULTILINE
        )
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".c", ".h", ".inc"}
    }


def folder_of(name: str) -> str:
    """Return the folder of a path below native/."""
    return name.rpartition("/")[0]


def forbidden(includes: Mapping[str, list[str]]) -> list[str]:
    """List the includes of files that are not there, or whose folder the includer may not know."""
    return [
        f"{name} includes {target}"
        for name, targets in includes.items()
        if name != ALL_OF_IT
        for target in targets
        if target not in includes
        or target == ALL_OF_IT
        or folder_of(target) not in ALLOWED.get(folder_of(name), frozenset()) | {folder_of(name)}
    ]


def in_cycles(includes: Mapping[str, list[str]]) -> list[str]:
    """List the files that reach themselves, or a file that does."""
    left = {name: set(targets) for name, targets in includes.items()}
    shrinking = True
    while shrinking:
        idle = [name for name, targets in left.items() if not targets & left.keys()]
        shrinking = bool(idle)
        for name in idle:
            del left[name]
    return sorted(left)


@pytest.mark.source_tree
def test_each_folder_includes_what_it_may() -> None:
    """Curves know nothing of tokens, texts nothing of keys, and only python/ knows CPython."""
    includes = includes_of(NATIVE)
    assert forbidden(includes) == []
    assert {folder_of(name) for name in includes} == set(ALLOWED)


@pytest.mark.source_tree
def test_no_cycle_of_includes() -> None:
    """No C file includes itself through others."""
    assert in_cycles(includes_of(NATIVE)) == []


@pytest.mark.source_tree
def test_no_cycle_of_folders() -> None:
    """The table of folders itself has no cycle."""
    assert in_cycles({folder: list(others) for folder, others in ALLOWED.items()}) == []


@pytest.mark.source_tree
def test_names_are_unique() -> None:
    """A file's name tells which file is meant, without its folder."""
    names = [Path(name).name for name in includes_of(NATIVE)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.source_tree
def test_openssl_stays_out_of_text() -> None:
    """Texts are read without libcrypto, and CPython's header is read below python/ only."""
    for path in (path for path in NATIVE.rglob("*.[ch]")):
        folder, text = folder_of(path.relative_to(NATIVE).as_posix()), path.read_text("utf-8")
        assert folder not in {"", "text"} or "<openssl/" not in text, path
        assert folder == "python" or "<Python.h>" not in text, path


@pytest.mark.source_tree
def test_the_core_calls_only_what_its_subclasses_give() -> None:
    """Where C needs Python it uses a method of the object it was given, each named in one table."""
    by_name = re.compile(r'PyObject_(?:CallMethod|GetAttrString)\((?:[^",]|\([^()]*\))*,\s*"(\w+)"')
    found = {
        path.name: frozenset(by_name.findall(path.read_text("utf-8")))
        for path in (NATIVE / "python").glob("*.c")
    }
    assert {name: names for name, names in found.items() if names} == CALLS


@pytest.mark.parametrize(
    ("includes", "expected"),
    [
        ({"ec/a.c": ["core/b.h"], "core/b.h": []}, ["ec/a.c includes core/b.h"]),
        ({"text/a.c": ["ec/b.h"], "ec/b.h": []}, ["text/a.c includes ec/b.h"]),
        ({"core/a.c": ["b.h"], "core/b.h": []}, ["core/a.c includes b.h"]),
        ({"core/a.c": ["rapidjws.h"], "rapidjws.h": []}, ["core/a.c includes rapidjws.h"]),
        ({"other/a.c": ["status.h"], "status.h": []}, ["other/a.c includes status.h"]),
        ({"core/a.c": ["core/b.h", "ec/c.h"], "core/b.h": [], "ec/c.h": []}, []),
    ],
)
def test_include_checker_sees(includes: Mapping[str, list[str]], expected: list[str]) -> None:
    """The checker names each include that goes up, and each one without its folder."""
    assert forbidden(includes) == expected


def test_cycle_checker_sees() -> None:
    """The checker names a cycle of two and an include of itself."""
    assert in_cycles({"a.h": ["b.h"], "b.h": ["a.h"], "c.h": []}) == ["a.h", "b.h"]
    assert in_cycles({"a.h": ["a.h"]}) == ["a.h"]


BATCH_BOUND = re.compile(r"(?:#\s*define\s+|\b)(\w*(?:BATCH_MAX|WINDOW|CHUNK|ITEMS))\s*=?\s*\(?\s*(\d+)\b")


def batch_bounds(folder: Path) -> dict[str, str]:
    """Return each constant that bounds a batch, with its number: windows, chunks and item counts."""
    found = {}
    for path in sorted(folder.rglob("*.[ch]")):
        code = re.sub(r"/\*.*?\*/", " ", path.read_text("utf-8"), flags=re.DOTALL)
        for declared in re.findall(r"enum\s*\{[^}]*\}|^\s*#\s*define\s[^\n]*", code, re.MULTILINE):
            found.update(BATCH_BOUND.findall(declared))
    return found


@pytest.mark.source_tree
def test_the_batch_bound_exists_once() -> None:
    """How many signatures go together is one constant, which the window and the arithmetic share."""
    assert batch_bounds(NATIVE) == {"RJ_BATCH_MAX": "64"}


@pytest.mark.source_tree
def test_one_type_goes_to_the_arithmetic() -> None:
    """A token's check is read where it lies: no folder has an item type of its own."""
    headers = {path: path.read_text("utf-8") for path in sorted(NATIVE.rglob("*.h"))}
    items = {
        name
        for text in headers.values()
        for name in re.findall(r"^\} (rj_\w*item\w*|rj_token|rj_signature_check);", text, re.MULTILINE)
    }
    assert items == {"rj_token", "rj_signature_check"}
    takes = re.compile(r"\brj_(?:rsa|fixedbase|ed25519)_verify_(?:batch|one)\(([^;]*)\);", re.DOTALL)
    arguments = [found for text in headers.values() for found in takes.findall(text)]
    assert len(arguments) == 5
    assert all("const rj_signature_check *" in one for one in arguments)


@pytest.mark.parametrize(
    "text",
    ["enum { RJ_BATCH_WINDOW = 64 };", "#define FB_CHUNK 64", "enum { A = 1,\n  HOT_MAX_ITEMS = 64 };"],
)
def test_batch_bound_checker_sees(text: str, tmp_path: Path) -> None:
    """The checker sees a second bound, however it is written."""
    (tmp_path / "a.h").write_text(text)
    assert len(batch_bounds(tmp_path)) == 1
