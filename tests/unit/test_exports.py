"""What the package exports: what `__init__` files show, and that they keep what they promise."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "rapidjws"

TOOLS = ("typing", "rapidjws._lazy")  # what an `__init__` imports for itself


def lazy_faults(node: ast.If, bound: set[str]) -> list[str]:
    """List where the names that load on first use differ from those type checkers see; bind the latter."""
    seen: dict[str, tuple[str, ...]] = {}
    for one in node.body:
        if not isinstance(one, ast.ImportFrom) or one.module is None:
            return [f"line {one.lineno}: not a re-export"]
        seen[one.module] = tuple(alias.name for alias in one.names)
        bound |= set(seen[one.module])
    match node.orelse:
        case [ast.Assign(targets=[target], value=ast.Call(func=ast.Name(id="lazy_names"), args=[_, homes]))]:
            if ast.unparse(target) != "(__getattr__, __dir__)":
                return [f"line {target.lineno}: not a lazy middleware"]
            return (
                [] if ast.literal_eval(homes) == seen else ["type checkers see other names than are loaded"]
            )
    return [f"line {node.lineno}: not a lazy middleware"]


def faults_of(text: str, *, needs_all: bool = True, entry_point: str = "") -> list[str]:
    """List what an `__init__` holds besides re-exports and an entry point, and where `__all__` is untrue."""
    exported: list[str] | None = None
    bound: set[str] = set()
    faults = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if not (isinstance(node, ast.ImportFrom) and node.module in ("__future__", *TOOLS)):
                bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            faults += lazy_faults(node, bound)
        elif ast.unparse(node) == "TYPE_CHECKING = False":  # where `typing` is not to be loaded
            continue
        elif isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            exported = ast.literal_eval(node.value)
        elif entry_point and isinstance(node, ast.FunctionDef) and node.name == entry_point:
            continue
        else:
            faults.append(f"line {node.lineno}: not a re-export")
    if exported is None:
        return [*faults, "no __all__"] if needs_all or (bound and not entry_point) else faults
    if list(exported) != sorted(exported):
        faults.append("__all__ is not sorted")
    if len(set(exported)) != len(exported):
        faults.append("__all__ names something twice")
    public = {name for name in bound if not name.startswith("_") or name == "__version__"}
    faults += [f"__all__ promises {name}, which is not imported" for name in sorted(set(exported) - bound)]
    faults += [f"{name} is imported but not in __all__" for name in sorted(public - set(exported))]
    return faults


@pytest.mark.source_tree
def test_inits_only_re_export() -> None:
    """Each `__init__` only re-exports, with a sorted and true `__all__`."""
    found = {}
    for path in sorted(SOURCE.rglob("__init__.py")):
        name = str(path.relative_to(SOURCE).parent)
        entry_point = "main" if name == "cli" else ""  # named by [project.scripts]; works without its extra
        found[name] = faults_of(path.read_text("utf-8"), needs_all=name == ".", entry_point=entry_point)
    assert found, "no package found"
    assert {path: faults for path, faults in found.items() if faults} == {}


LAZY = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from a.x import b
    from a.y import C
else:
    __getattr__, __dir__ = lazy_names(__name__, {'a.x': ('b',), 'a.y': ('C',)})
__all__ = ['C', 'b']
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from a import b, c\n__all__ = ['c', 'b']", "not sorted"),
        ("from a import b\n__all__ = ['b', 'c']", "promises c"),
        ("from a import b, c\n__all__ = ['b']", "c is imported"),
        ("from a import b\n__all__ = ['b', 'b']", "twice"),
        ("from a import b\n__all__ = ['b']\ndef f(): ...", "not a re-export"),
        ("from a import b", "no __all__"),
        (LAZY.replace("'C',)}", "'D',)}"), "type checkers see other names"),
        (LAZY.replace("a.x': ('b',)", "a.y': ('b',)"), "type checkers see other names"),
        (LAZY.replace("lazy_names(", "other("), "not a lazy middleware"),
        (LAZY.partition("else:")[0] + "__all__ = ['C', 'b']", "not a lazy middleware"),
    ],
)
def test_export_checker_sees(text: str, expected: str) -> None:
    """The checker names each kind of untrue export."""
    (fault,) = faults_of(text)
    assert expected in fault


def test_export_checker_lets_pass() -> None:
    """The checker accepts a docstring, imports and a sorted list."""
    assert (
        faults_of("'''x.'''\nfrom __future__ import annotations\nfrom a import C, b\n__all__ = ['C', 'b']")
        == []
    )
    assert faults_of(LAZY) == []


def test_promised_names_exist() -> None:
    """Every name in `rapidjws.__all__` is there, and every one but the version says what it is."""
    import rapidjws

    missing = [name for name in rapidjws.__all__ if not hasattr(rapidjws, name)]
    assert missing == []
    callables = [name for name in rapidjws.__all__ if callable(getattr(rapidjws, name))]
    assert [name for name in callables if not getattr(rapidjws, name).__doc__] == []
