"""Words of the field in the whole tree; docstrings of classes as nouns, of functions as verbs."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

import pytest
from source_files import ROOT, tracked

pytestmark = pytest.mark.source_tree


ANYWHERE = (
    "airlock",
    "bury",
    "buried",
    "clockwork",
    "door",
    "doors",
    "heir",
    "heirs",
    "house",
    "preheat",
    "riddle",
    "rooms",
    "seam",
    "seams",
    "storey",
    "storeys",
    "stumbled",
)
"""Words of a former dialect, which no text may hold: identifiers, comments, docstrings, messages, pages."""

IDENTIFIERS = frozenset(
    "asked board candidates clues earned heat settled told".split()
)  # as a whole identifier of Python
"""Names that say nothing where they name a value; in a sentence they may stand."""

PARTS_OF_IDENTIFIERS = frozenset(("room", "said", "told"))
"""Words that are no part of an identifier of the package, in Python and in C."""

IN_CODE = ("said", "told")
"""Words that no source of the package holds: a file, a header or a store says nothing, it has a value."""

OLD_NAMES = (
    "AcceptedForm",
    "ChangingKeys",
    "DoorSettings",
    "ForeignKey",
    "Gatherer",
    "KeptVerifier",
    "Listening",
    "SnapshotHolder",
    "Tally",
    "TokenPlace",
    "TrialServer",
    "UnknownKidGate",
    "catch_up",
    "hot_budget_bytes",
    "hot_kids",
    "hot_threshold",
    "gather_us",
    "publish_hot",
    "second_look_s",
)

ALLOWED = {
    "CHANGELOG.md": "names what was renamed",
    "tests/unit/test_words.py": "holds the list",
    "examples/gateway.py": "Envoy's option --disable-hot-restart",
}
"""Files that may hold such a word, and why."""

NOUNS_NEED = frozenset(
    "Accept Act Answer Ask Be Build Call Carry Check Choose Collect Count Decide Describe Do Fetch "
    "Find Follow Gather Give Hold Keep Let List Look Make Measure Name Note Own Put Raise Read Record "
    "Remember Return Run Say Send Serve Show Sign Speak Stand Take Tell Turn Verify Wait Watch Write ".split()
)
"""Verbs that begin no docstring of a class or a module."""

NO_IMPERATIVE = re.compile(
    r"(?!Bring\b|Pass\b|Press\b|Process\b|Bypass\b|Express\b|Address\b)[A-Z][a-z]+(?:s|ing)\Z"
)
"""The first word of a function's docstring that is no imperative: "Returns", "Returning"."""

NO_TEXT = {".png", ".svg"}
"""Every other file is looked at: sources, pages, TOML, YAML, Makefiles, Dockerfiles, gateways' files."""


def banned(text: str) -> Iterator[str]:
    """Yield "line: word" for each banned word of a text, wherever it stands."""
    words = re.compile(r"(?<![A-Za-z])(?:" + "|".join(ANYWHERE) + ")(?![A-Za-z])", re.IGNORECASE)
    names = re.compile(r"\b(?:" + "|".join(OLD_NAMES) + r")\b")
    for number, line in enumerate(text.split("\n"), 1):
        yield from (f"{number}: {found.group()}" for found in (*words.finditer(line), *names.finditer(line)))


def banned_identifiers(source: str) -> Iterator[str]:
    """Yield "line: name" for each identifier of a Python source that says nothing."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and (
            token.string.lstrip("_") in IDENTIFIERS or has_banned_part(token.string)
        ):
            yield f"{token.start[0]}: {token.string}"


def has_banned_part(name: str) -> bool:
    """Return whether an identifier has a word that says nothing among its parts, in any case of letters."""
    return not PARTS_OF_IDENTIFIERS.isdisjoint(name.lower().split("_"))


def banned_c_identifiers(source: str) -> Iterator[str]:
    """Yield each identifier of a C source with such a part, its comments and texts left out."""
    code = re.sub(r"/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", " ", source, flags=re.DOTALL)
    yield from sorted({name for name in re.findall(r"[A-Za-z_]\w*", code) if has_banned_part(name)})


def first_word(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the first word of a docstring, "" where there is none."""
    words = (ast.get_docstring(node) or "").split()
    return words[0].rstrip(".,:;") if words else ""


def wrong_docstrings(source: str) -> Iterator[str]:
    """Yield "line: word" for each class or module that begins with a verb, and function that does not."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.Module)):
            wrong = first_word(node) in NOUNS_NEED
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("test_"):
            wrong = NO_IMPERATIVE.match(first_word(node)) is not None
        else:
            continue
        if wrong:
            yield f"{getattr(node, 'lineno', 1)}: {first_word(node)}"


def texts(*suffixes: str) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each tracked file with one of these suffixes, or any; not the allowed."""
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if (path.suffix in suffixes if suffixes else path.suffix not in NO_TEXT) and name not in ALLOWED:
            yield name, path.read_text("utf-8")


def test_no_text_holds_a_banned_word() -> None:
    """No identifier, comment, docstring, message or page holds a word of the dialect, nor an old name."""
    found = {name: list(banned(text)) for name, text in texts()}
    endings = (".c", ".md", ".toml", ".yaml", ".yml", "Dockerfile", "Makefile")
    assert {one for one in endings if not any(name.endswith(one) for name in found)} == set()
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_no_source_speaks_of_things_that_speak() -> None:
    """Neither Python nor C tells what somebody said, not in identifiers, comments, docstrings or messages."""
    words = re.compile(r"\b(?:" + "|".join(IN_CODE) + r")\b", re.IGNORECASE)
    found = {
        name: [line for line in text.split("\n") if words.search(line)]
        for name, text in texts(".py", ".pyi", ".c", ".h")
        if name.startswith(("src/", "native/"))
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_no_identifier_says_nothing() -> None:
    """No identifier of the package is one of those that only its writer understands."""
    found = {name: list(banned_identifiers(text)) for name, text in texts(".py") if name.startswith("src/")}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_no_identifier_of_c_says_nothing() -> None:
    """No identifier of the core has a part that only its writer understands."""
    found = {
        name: list(banned_c_identifiers(text))
        for name, text in texts(".c", ".h")
        if name.startswith("native/")
    }
    assert len(found) > 100
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_docstrings_have_their_form() -> None:
    """Classes of the tree and modules of the package begin with no verb, functions with no third person."""
    found = {}
    for name, text in texts(".py"):
        faults = [
            one for one in wrong_docstrings(text) if name.startswith("src/") or not one.startswith("1: ")
        ]
        found[name] = faults
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_allowed_files_are_there() -> None:
    """Every exception names a file of the tree, and why."""
    assert [name for name, reason in ALLOWED.items() if not (ROOT / name).is_file() or not reason] == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("# behind the door", "1: door"),
        ("x = front_door", "1: door"),
        ("the House rules", "1: House"),
        ("a\nHeirs of it", "2: Heirs"),
        ("engine.hot_kids", "1: hot_kids"),
        ("/* two seams */", "1: seams"),
    ],
    ids=["comment", "identifier", "capital", "line", "old-name", "c"],
)
def test_a_banned_word_is_found(text: str, word: str) -> None:
    """A word is found as part of a name, in a comment of C, and in any case of letters."""
    assert list(banned(text)) == [word]


def test_what_is_no_banned_word() -> None:
    """Words that only contain one, and plain English, pass."""
    assert list(banned("indoors household warehouse season their make room for it")) == []
    assert list(banned_identifiers("def f():\n    'what was told'\n    tolded = 1\n")) == []
    assert list(banned_identifiers("_told = 1\n")) == ["1: _told"]
    assert list(banned_identifiers("ROOM_MIN = make_room()\n")) == ["1: ROOM_MIN", "1: make_room"]
    assert list(banned_c_identifiers('int a_room; /* empty_room */ char *b = "has_room", mushroom;')) == [
        "a_room"
    ]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('class A:\n    """Hold a key."""\n', "1: Hold"),
        ('"""Be a module."""\n', "1: Be"),
        ('def f():\n    """Returns one."""\n', "1: Returns"),
        ('async def f():\n    """Returning one."""\n', "1: Returning"),
    ],
    ids=["class", "module", "third-person", "gerund"],
)
def test_a_wrong_docstring_is_found(source: str, fault: str) -> None:
    """Each wrong form of a docstring is found, and the right ones pass."""
    assert list(wrong_docstrings(source)) == [fault]
    assert (
        list(wrong_docstrings('class A:\n    """A key."""\n\n    def f(self):\n        """Pass it."""\n'))
        == []
    )
