"""The C files keep the project style, as read off their text, their objects and the built module."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
REQUIRED_FLAGS = (
    "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wconversion", "-Werror", "-fvisibility=hidden",
)  # fmt: skip
HEADER_INLINES = (
    "__get_cpuid", "ERR_", "OPENSSL_", "PyType_", "Py_", "_Py", "lh_", "ossl_", "sk_",
)  # fmt: skip
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def text_faults(name: str, text: str) -> list[str]:
    """List what the text of one C file holds against the style."""
    faults = []
    opening = TOKEN.match(text)
    purpose = opening.group() if opening else ""
    in_header = name.endswith(".c") and f"{Path(name).stem}.h" in purpose
    if not purpose.startswith(f"/* {name}: ") or (len(purpose) < 60 and not in_header):
        faults.append(f"does not open with its purpose, /* {name}: ... */")
    if any(match.group().startswith("//") for match in TOKEN.finditer(text)):
        faults.append("has a // comment")
    if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text):
        faults.append("leaves work for later")
    code = TOKEN.sub(" ", text)
    if re.search(r"\b(_Thread_local|__thread|thread_local)\b", code):
        faults.append("has a thread-local")
    if re.search(r"\b(alloca|setjmp|longjmp|strcpy|strcat|sprintf|gets|atoi)\s*\(", code):
        faults.append("calls what is not allowed")
    if "\t" in text or re.search(r"[ \r]+$", text, re.MULTILINE):
        faults.append("has tabs or trailing space")
    if max(map(len, text.splitlines()), default=0) > 120:
        faults.append("has a line over 120 characters")
    if name.endswith(".h"):
        guard = "RAPIDJWS_H" if name == "rapidjws.h" else f"RJ_{Path(name).stem.upper()}_H"
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            faults.append(f"lacks the guard {guard}")
    return faults


def object_faults(source: str, sources: Iterable[str], symbols: str) -> list[str]:
    """List what `nm` shows of one object: badly named functions, variables that can change."""
    statics = tuple(f"{word}_" for other in sources for word in {other, *other.split("_")})
    faults = []
    for line in symbols.splitlines():
        kind, name = line.split()[-2:]
        if kind in "bBdDcCsSgG":
            faults.append(f"{source}: {name} is a variable that can change")
        elif kind in "TRVW" and not name.startswith("rj_"):
            faults.append(f"{source}: {name} is visible to other files without the prefix rj_")
        elif kind == "t" and not name.startswith(("rj_", *statics, *HEADER_INLINES)):
            faults.append(f"{source}: {name} lacks its file's prefix")
    return faults


def recursions(arrows: Mapping[str, set[str]]) -> list[str]:
    """List the functions that can call themselves, at once or through others (and who calls those)."""
    left = {name: set(targets) for name, targets in arrows.items()}
    shrinking = True
    while shrinking:
        idle = [name for name, targets in left.items() if not targets & left.keys()]
        shrinking = bool(idle)
        for name in idle:
            del left[name]
    return sorted(left)


def arrows_of(graph: str) -> dict[str, set[str]]:
    """Read the call graph that gcc writes beside an object."""
    arrows: dict[str, set[str]] = {}
    for caller, callee in re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
        arrows.setdefault(caller, set()).add(callee)
    return arrows


def compile_source(source: Path, objects: Path, includes: Iterable[str]) -> tuple[str, dict[str, set[str]]]:
    """Compile one C file without optimising; give what nm lists and what calls what."""
    made = objects / f"{source.stem}.o"
    command = ["gcc", "-std=gnu11", "-O0", "-fno-pie", "-Wvla", "-Werror=vla", "-fcallgraph-info", *includes]
    command += ['-DRJ_VERSION="0"', "-DRJ_OWN_LIBCRYPTO=0"]  # what native/build.py gives
    subprocess.run([*command, "-c", str(source), "-o", str(made)], check=True, capture_output=True, text=True)
    listed = subprocess.run(["nm", "--defined-only", str(made)], check=True, capture_output=True, text=True)
    return listed.stdout, arrows_of(made.with_suffix(".ci").read_text("utf-8"))


def sources() -> list[Path]:
    """List every C file."""
    return sorted(path for path in NATIVE.rglob("*") if path.suffix in {".c", ".h", ".inc"})


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, set[str]]]]:
    """Compile every C file once, by name."""
    if not (shutil.which("gcc") and shutil.which("nm") and shutil.which("pkg-config")):
        pytest.skip("gcc, nm and pkg-config are needed to look into the objects")
    answer = subprocess.run(
        ["pkg-config", "--cflags", "libcrypto"], capture_output=True, text=True, check=True
    )
    includes = [f"-I{NATIVE}", f"-I{sysconfig.get_path('include')}", *answer.stdout.split()]
    objects = tmp_path_factory.mktemp("objects")
    return {path.stem: compile_source(path, objects, includes) for path in sources() if path.suffix == ".c"}


@pytest.mark.source_tree
@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_text_of_source(path: Path) -> None:
    """A C file opens with its purpose, has its guard, and holds nothing forbidden."""
    assert text_faults(path.name, path.read_text("utf-8")) == []


@pytest.mark.source_tree
def test_names_and_variables(compiled: dict[str, tuple[str, dict[str, set[str]]]]) -> None:
    """Exported names begin with rj_, static ones with their file, and no variable of ours can change."""
    names = sorted(compiled) + [path.stem for path in sources() if path.suffix == ".h"]
    faults = [
        fault for source, (symbols, _) in compiled.items() for fault in object_faults(source, names, symbols)
    ]
    assert faults == []


@pytest.mark.source_tree
def test_no_recursion(compiled: dict[str, tuple[str, dict[str, set[str]]]]) -> None:
    """No function can call itself, at once or through others: the stack is bounded."""
    arrows: dict[str, set[str]] = {}
    for _, calls in compiled.values():
        for caller, callees in calls.items():
            arrows.setdefault(caller, set()).update(callees)
    assert recursions(arrows) == []


@pytest.mark.source_tree
def test_warnings_are_on() -> None:
    """The build turns on every warning the style asks for, and hides what is not exported."""
    text = (NATIVE / "build.py").read_text("utf-8")
    assert [flag for flag in REQUIRED_FLAGS if f'"{flag}"' not in text] == []


@pytest.mark.source_tree
def test_pythons_header_is_read_in_one_place() -> None:
    """One header chooses the limited API: a free-threaded build has none and stops at a second choice."""
    readers = [path.name for path in sources() if "<Python.h>" in path.read_text("utf-8")]
    choosers = [path.name for path in sources() if "#define Py_LIMITED_API" in path.read_text("utf-8")]
    assert (readers, choosers) == (["python_api.h"], ["python_api.h"])


def test_module_exports_its_init_only() -> None:
    """The built module gives the process one symbol: its init function."""
    from rapidjws import _native

    if shutil.which("nm") is None:
        pytest.skip("nm is needed to list the symbols of the module")
    found = list(Path(_native.__file__).parent.parent.glob("_rapidjws*.so"))
    assert len(found) == 1, f"one compiled module expected, found {found}"
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(found[0])], capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["PyInit__rapidjws"]


GOOD = "/* a.h: a file for the checker alone, and long enough to say what it does. */\n"
GUARD = "#ifndef RJ_A_H\n#define RJ_A_H\n#endif\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GUARD, "purpose"),
        ("/* a.h: short. */\n" + GUARD, "purpose"),
        (GOOD + GUARD + "int x; // y\n", "// comment"),
        (GOOD + GUARD + "/* TO" + "DO: later */\n", "for later"),
        (GOOD + GUARD + "static _Thread_local int x;\n", "thread-local"),
        (GOOD + GUARD + "char *p = alloca(3);\n", "not allowed"),
        (GOOD + GUARD + "int x; \n", "trailing"),
        (GOOD + GUARD + f"int {'x' * 130};\n", "over 120"),
        (GOOD, "guard"),
    ],
)
def test_text_checker_sees(text: str, expected: str) -> None:
    """The checker names each fault of a file's text."""
    (fault,) = text_faults("a.h", text)
    assert expected in fault


def test_text_checker_lets_pass() -> None:
    """The checker is not misled by strings and comments."""
    assert text_faults("a.h", GOOD + GUARD + 'const char *u = "https://x"; /* // and alloca() */\n') == []


@pytest.mark.parametrize(
    ("symbols", "faults"),
    [
        ("0 T rj_a_split", 0), ("0 t a_split", 0), ("0 t json_split", 0), ("0 r table", 0),
        ("0 T split", 1), ("0 t split", 1), ("0 b a_count", 1), ("0 d a_table", 1), ("8 C a_common", 1),
    ],
)  # fmt: skip
def test_object_checker_sees(symbols: str, faults: int) -> None:
    """The checker names each badly named function and each variable that can change."""
    assert len(object_faults("a", ["a", "json_scan"], symbols)) == faults


def test_recursion_checker_sees() -> None:
    """The checker names rings of calls, direct and indirect, and nothing else."""
    assert recursions({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"memcpy"}}) == ["a", "b"]
    assert recursions({"a": {"a"}}) == ["a"]
    assert recursions({"a": {"b", "c"}, "b": {"c"}}) == []
