"""The layers: no package imports a higher one, none in a ring, none another's private names."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from layers import LAYERS

pytestmark = pytest.mark.source_tree

PACKAGE = "rapidjws"
SOURCE = Path(__file__).resolve().parents[2] / "src"
COMPILED = "rapidjws._rapidjws"

RANK = {package: rank for rank, row in enumerate(LAYERS) for package in row}


def module_name(path: Path, source: Path) -> str:
    """Give the dotted name of a source file."""
    parts = list(path.relative_to(source).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def type_only(tree: ast.AST) -> set[ast.AST]:
    """Give the nodes that only a type checker reads."""
    guards = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )
    return {inner for guard in guards for part in guard.body for inner in ast.walk(part)}


def own_imports(text: str, known: frozenset[str], *, at_run_time: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import of this package: lazy ones too, type-only ones on demand."""
    tree = ast.parse(text)
    left_out = type_only(tree) if at_run_time else set()
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            compiled_too = known | {COMPILED}
            names = [name if name in compiled_too else node.module for name in whole]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{PACKAGE}.<relative import>"]
        else:
            continue
        for name in names:
            if name == PACKAGE or name.startswith(PACKAGE + "."):
                yield node.lineno, name


def package_of(module: str) -> str:
    """Give the package (first part below the package) that a module stands in, "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def faults_of(modules: Mapping[str, str]) -> list[str]:
    """List every import that goes up, reaches the compiled module, or is relative."""
    known = frozenset(modules)
    faults = []
    for module, text in modules.items():
        package = package_of(module)
        if package and package not in RANK:
            faults.append(f"{module}: {package} stands in no layer")
            continue
        for line, target in own_imports(text, known):
            where = f"{module}:{line}"
            if target.endswith("<relative import>"):
                faults.append(f"{where} imports relatively")
            elif target == COMPILED:
                if module != f"{PACKAGE}._native.core":
                    faults.append(f"{where} imports the compiled module; only _native.core may")
            elif package and target == PACKAGE:
                faults.append(f"{where} imports the package's face")
            elif package and RANK.get(package_of(target), len(LAYERS)) > RANK[package]:
                faults.append(f"{where} imports upwards: {target}")
            elif package == "errors" and package_of(target) not in ("_shown", "_area_codes"):
                faults.append(f"{where}: errors imports nothing")
    return faults


def rings_between_packages(modules: Mapping[str, str]) -> list[list[str]]:
    """List the packages that import one another in a ring, imports for types included."""
    known = frozenset(modules)
    arrows: dict[str, set[str]] = {}
    for module, text in modules.items():
        if package_of(module):
            targets = {package_of(target) for _, target in own_imports(text, known)}
            arrows.setdefault(package_of(module), set()).update(targets - {package_of(module), ""})
    return in_rings(arrows)


def in_rings(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """List the groups of names that lead to one another."""

    def reached(name: str, seen: set[str]) -> set[str]:
        for target in arrows.get(name, ()):
            if target not in seen:
                seen.add(target)
                reached(target, seen)
        return seen

    whole = {name: reached(name, set()) for name in arrows}
    rings = {
        tuple(sorted({name, *(other for other in whole[name] if name in whole.get(other, ()))}))
        for name in arrows
        if name in whole[name]
    }
    return [list(ring) for ring in sorted(rings)]


def rings_with_types(modules: Mapping[str, str]) -> list[list[str]]:
    """List the modules of rings that are there for a type checker, beside those at run time."""
    known = frozenset(modules)
    return in_rings(
        {
            module: {target for _, target in own_imports(text, known) if target in known} - {module}
            for module, text in modules.items()
            if module != PACKAGE
        }
    )


def private_reaches(modules: Mapping[str, str]) -> list[str]:
    """List the imports of another package's private names and modules."""
    found = []
    for module, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(PACKAGE + "."):
                continue
            target = node.module or ""
            names = [*target.split(".")[2:], *(alias.name for alias in node.names)]
            private = [name for name in names if name.startswith("_") and not name.startswith("__")]
            if private and package_of(target) != package_of(module):
                found.append(f"{module} imports {'.'.join(private)} of {target}")
    return found


def rings_of(modules: Mapping[str, str]) -> list[list[str]]:
    """List the groups of modules that import one another in a ring."""
    known = frozenset(modules)
    arrows = {
        module: {target for _, target in own_imports(text, known, at_run_time=True) if target in known}
        - {module}
        for module, text in modules.items()
        if module != PACKAGE
    }
    shrinking = True
    while shrinking:  # take away what imports nothing that is left, or is imported by none: rings stay
        imported = {target for targets in arrows.values() for target in targets}
        loose = [
            name for name, targets in arrows.items() if not targets & arrows.keys() or name not in imported
        ]
        shrinking = bool(loose)
        for module in loose:
            del arrows[module]
    return [sorted(arrows)] if arrows else []


def modules_of(source: Path) -> dict[str, str]:
    """Read every module of the package."""
    return {module_name(path, source): path.read_text("utf-8") for path in sorted(source.rglob("*.py"))}


def test_no_import_goes_up() -> None:
    """No package of the package imports a higher one, and only _native imports the compiled module."""
    modules = modules_of(SOURCE)
    assert modules, "no sources found"
    assert faults_of(modules) == []


def test_no_rings() -> None:
    """No modules import one another in a ring, lazily or otherwise."""
    assert rings_of(modules_of(SOURCE)) == []


def test_no_rings_between_packages() -> None:
    """No packages import one another in a ring, not even for a type."""
    assert rings_between_packages(modules_of(SOURCE)) == []


def test_no_rings_for_types() -> None:
    """No modules import one another in a ring, not even for a type."""
    assert rings_with_types(modules_of(SOURCE)) == []


def test_no_package_reaches_into_another() -> None:
    """No package imports a private name or module of another."""
    assert private_reaches(modules_of(SOURCE)) == []


def test_the_other_checkers_see() -> None:
    """A ring between packages through a type, a ring of modules, and a private name are found."""
    modules = {
        "rapidjws.jwt.a": "from rapidjws.jws import b",
        "rapidjws.jws.b": "if TYPE_CHECKING:\n    from rapidjws.jwt.a import A",
        "rapidjws.cli.c": "from rapidjws.jws.b import _private",
        "rapidjws.cli.d": "from rapidjws.jws._own import name",
    }
    assert rings_between_packages(modules) == [["jws", "jwt"]]
    assert rings_with_types(modules) == [["rapidjws.jws.b", "rapidjws.jwt.a"]]
    assert private_reaches(modules) == [
        "rapidjws.cli.c imports _private of rapidjws.jws.b",
        "rapidjws.cli.d imports _own of rapidjws.jws._own",
    ]


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ({"rapidjws.jose.jwk": "from rapidjws.jws import verifier"}, "upwards"),
        ({"rapidjws.jose.jwk": "def f():\n    import rapidjws.cli"}, "upwards"),
        ({"rapidjws.jose.jwk": "from rapidjws import JWK"}, "face"),
        ({"rapidjws.verify.x": "from rapidjws import _rapidjws"}, "compiled"),
        ({"rapidjws.verify.x": "from rapidjws._rapidjws import lib"}, "compiled"),
        ({"rapidjws.verify.x": "from . import y"}, "relatively"),
        ({"rapidjws.errors": "from rapidjws import _version", "rapidjws._version": ""}, "imports nothing"),
        ({"rapidjws.attic.x": ""}, "no layer"),
    ],
    ids=["up", "lazily-up", "face", "compiled-a", "compiled-b", "relative", "errors", "unlisted"],
)
def test_layer_checker_sees(modules: dict[str, str], expected: str) -> None:
    """The checker names each kind of wrong import."""
    (fault,) = (
        fault for fault in faults_of(modules) if "imports nothing" not in fault or "nothing" in expected
    )
    assert expected in fault


def test_layer_checker_lets_pass() -> None:
    """The checker accepts downward imports and imports within a row."""
    modules = {
        "rapidjws": "from rapidjws.verify import x",
        "rapidjws._native": "from rapidjws._native.core import x",
        "rapidjws._native.core": "from rapidjws import _rapidjws, errors",
        "rapidjws.errors": "",
        "rapidjws.verify.x": "from rapidjws.jose import jwk\nfrom rapidjws import errors\nimport orjson",
        "rapidjws.jose.jwk": "from rapidjws import _native",
        "rapidjws.testing.x": "from rapidjws.signing import y",
        "rapidjws.signing": "",
    }
    assert faults_of(modules) == []
    assert rings_of(modules) == []


def test_ring_checker_sees() -> None:
    """The checker names a ring, and neither those who lean on it, nor those it leans on, nor types."""
    modules = {
        "rapidjws.jose.a": "from rapidjws.jose import b",
        "rapidjws.jose.b": "import rapidjws.jose.a, rapidjws.jose.c",
        "rapidjws.jose.c": "",
        "rapidjws.jose.d": "import rapidjws.jose.a",
        "rapidjws.jose.e": "from rapidjws.jose import f",
        "rapidjws.jose.f": "if TYPE_CHECKING:\n    from rapidjws.jose import e",
    }
    assert rings_of(modules) == [["rapidjws.jose.a", "rapidjws.jose.b"]]
