"""Where the names of a Python source come from: imports under any alias, and objects of imported classes.

The source is parsed, never imported or executed. Scopes are those of Python: what a function binds itself
hides what the module imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from rapidjws.compat.native_forms import FORMS, canonical, library_of

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES: Final = (*_FUNCTIONS, ast.ClassDef)
_CHAIN_MAX: Final = 8
_IMPORTERS: Final = frozenset({"importlib.import_module", "__import__", "builtins.__import__"})


class Use(NamedTuple):
    """One use of a name of another library.

    Attributes:
        node: Where it stands.
        origin: Where the name comes from.
        call: The call, where it is one.
    """

    node: ast.expr | ast.stmt
    origin: str
    call: ast.Call | None


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of one scope: not those of functions and classes inside it."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def imported(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield the names that an import binds, with their origin; None for a module of the code base itself."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, alias.name
            else:
                first = alias.name.partition(".")[0]
                yield first, first
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            origin = None if node.level or not node.module else f"{node.module}.{alias.name}"
            if alias.name == "*" and origin is not None:
                prefix = f"{node.module}."
                rest = (name[len(prefix) :] for name in FORMS if name.startswith(prefix))
                yield from ((name, prefix + name) for name in rest if name.isidentifier())
            else:
                yield alias.asname or alias.name, origin


def dotted(node: ast.AST) -> str | None:
    """Return ``self.client`` and the like as text, or None for what is no short chain of names."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < _CHAIN_MAX:
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


class Names(ast.NodeVisitor):
    """The uses of other libraries' names in one module, in the order of the source."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self._scopes: list[dict[str, str | None]] = [{}]
        self._is_class: list[bool] = [False]
        self._attributes: dict[str, str] = {}

    def visit_module(self, tree: ast.Module) -> list[Use]:
        """Return the uses in a module."""
        self._bind(tree.body, ())
        for statement in tree.body:
            self.visit(statement)
        return self.uses

    def _bind(self, body: Iterable[ast.AST], parameters: Iterable[str]) -> None:
        """Bind what a scope binds: imports first, all else hides what lies outside."""
        scope: dict[str, str | None] = dict.fromkeys(parameters)
        for node in own_nodes(body):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                scope.setdefault(node.id, None)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                scope.setdefault(node.name, None)
        for node in own_nodes(body):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                for name in node.names:
                    scope.pop(name, None)
            for name, origin in imported(node):
                if origin is not None or name not in scope:
                    scope[name] = origin
        self._scopes[-1].update(scope)

    def _origin_of_name(self, name: str) -> str | None:
        for depth in range(len(self._scopes) - 1, -1, -1):
            if self._is_class[depth] and depth != len(self._scopes) - 1:
                continue  # what a class binds is not seen in its methods
            if name in self._scopes[depth]:
                return self._scopes[depth][name]
        return name if name == "__import__" else None

    def origin(self, node: ast.AST) -> str | None:
        """Return where the value of an expression comes from, or None."""
        if isinstance(node, ast.Name):
            return self._origin_of_name(node.id)
        if isinstance(node, ast.Attribute):
            base = self.origin(node.value)
            return self._attributes.get(dotted(node) or "") if base is None else f"{base}.{node.attr}"
        if isinstance(node, ast.Call):
            base = self.origin(node.func)
            if base in _IMPORTERS and node.args and isinstance(node.args[0], ast.Constant):
                return str(node.args[0].value)
            return None if base is None else f"{canonical(base)}()"
        if isinstance(node, (ast.Await, ast.NamedExpr)):
            return self.origin(node.value)
        return None

    def _assign(self, target: ast.AST, origin: str | None) -> None:
        if origin is None or library_of(origin) is None:
            return
        if isinstance(target, ast.Name):
            scope = next((one for one in reversed(self._scopes) if target.id in one), self._scopes[-1])
            scope[target.id] = origin
        elif isinstance(target, ast.Attribute):
            self._attributes[dotted(target) or ""] = origin
            self._attributes.pop("", None)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Follow ``name = value``."""
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, self.origin(node.value))
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Follow ``name: kind = value``."""
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, self.origin(node.value))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Follow ``(name := value)``."""
        self.visit(node.value)
        self._assign(node.target, self.origin(node.value))

    def visit_Import(self, node: ast.Import) -> None:
        """Note an import of a library."""
        for alias in node.names:
            if library_of(alias.name) is not None:
                self.uses.append(Use(node, alias.name, None))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note an import of a library's names."""
        if node.level == 0 and node.module:
            origins = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found = next((origin for origin in origins if library_of(origin) is not None), None)
            if found is not None:
                self.uses.append(Use(node, found, None))

    def visit_Call(self, node: ast.Call) -> None:
        """Note a call."""
        self._note(node.func, node)
        for inner in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.visit(inner)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note a name that is handed on, or named in an ``except``."""
        self._note(node, None)

    def visit_Name(self, node: ast.Name) -> None:
        """Note a name that is handed on, or named in an ``except``."""
        if isinstance(node.ctx, ast.Load):
            self._note(node, None)

    def _note(self, node: ast.expr, call: ast.Call | None) -> None:
        origin = self.origin(node)
        if origin is not None and canonical(origin) in FORMS:
            self.uses.append(Use(node, canonical(origin), call))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
                self.visit(node.value)
        elif isinstance(node, ast.Attribute):
            self.visit(node.value)
        elif not isinstance(node, ast.Name):
            self.visit(node)

    def _visit_scope(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef, body: list[ast.AST]
    ) -> None:
        for outside in (*getattr(node, "decorator_list", ()), *getattr(node, "bases", ())):
            self.visit(outside)
        parameters: list[str] = []
        if not isinstance(node, ast.ClassDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            parameters = [one.arg for one in (*every, node.args.vararg, node.args.kwarg) if one is not None]
        self._scopes.append({})
        self._is_class.append(isinstance(node, ast.ClassDef))
        self._bind(body, parameters)
        for inner in body:
            self.visit(inner)
        self._scopes.pop()
        self._is_class.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Enter a function."""
        self._visit_scope(node, list(node.body))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Enter a coroutine."""
        self._visit_scope(node, list(node.body))

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Enter a lambda."""
        self._visit_scope(node, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Enter a class."""
        self._visit_scope(node, list(node.body))
