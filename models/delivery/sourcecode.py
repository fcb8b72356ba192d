"""The source that a shipped function needs: exactly the definitions it reaches, taken from the modules they stand in.

So the function that Numerai runs is the one that is tested here, not a second one beside it. Nothing is executed: names
are followed in the syntax trees, from module to module. Annotations and docstrings are left out, so that what stands
only in them is not needed there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from eraflow.errors import EraflowError

PROJECT_PACKAGES = ("eraflow", "models")
WITHOUT_LOCK = {("functools", "cached_property"): "cached_property = property"}
"""What cannot be pickled by value: before Python 3.12 a cached property holds a lock. A plain one gives the same."""

PathOf = Callable[[str], Path]


class SourceNotExportableError(EraflowError):
    """Code that a shipped function needs cannot be taken out of its module. Move it to a module of plain functions."""

    code = "source_not_exportable"


@dataclass
class SourceModule:
    """What is needed of one module.

    Attributes:
        name: of the module.
        source: its needed definitions, in their order.
        bindings: name in this module -> (other module, name there), for what it imports from the project.
    """

    name: str
    source: str = ""
    bindings: dict[str, tuple[str, str]] = field(default_factory=dict)


def installed_path(module: str) -> Path:
    """The file of a module of this project."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SourceNotExportableError(f"there is no module {module}", "export with a complete installation")
    return Path(spec.origin)


def needed_source(roots: Iterable[str], path_of: PathOf = installed_path) -> list[SourceModule]:
    """The modules with what the roots reach, each after those that it imports from.

    Args:
        roots: `module:name` of functions.
        path_of: where the source of a module lies.

    Raises:
        SourceNotExportableError: a root or something it reaches is not a definition at the top of a module.
    """
    walk = _Walk(path_of)
    for root in roots:
        module, _, name = root.partition(":")
        walk.need(module, name)
    return [_written(one) for one in walk.in_order()]


def outside_imports(modules: Iterable[SourceModule]) -> set[str]:
    """The packages that the source imports, wherever: at its top and inside functions."""
    found = set()
    for module in modules:
        for node in ast.walk(ast.parse(module.source)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - {"__future__"}


@dataclass
class _Module:
    """A module on the way: which names stand at its top, and which of them are needed."""

    name: str
    statements: list[ast.stmt]
    places: dict[str, list[int]]
    needed: set[str] = field(default_factory=set)
    bindings: dict[str, tuple[str, str]] = field(default_factory=dict)


class _Walk:
    def __init__(self, path_of: PathOf) -> None:
        self._path_of = path_of
        self._modules: dict[str, _Module] = {}

    def need(self, module: str, name: str) -> None:
        """Take a name of a module, and all that its definition reaches."""
        one = self._module(module)
        if name in one.needed or name in one.bindings:
            return
        if name not in one.places:
            raise SourceNotExportableError(
                f"{module} has no {name} at its top", "let the shipped function be a plain function of a module"
            )
        for place in one.places[name]:
            self._take(one, name, one.statements[place])

    def in_order(self) -> list[_Module]:
        """Modules after those that they import from."""
        done: dict[str, _Module] = {}

        def visit(module: _Module) -> None:
            if module.name not in done:
                for other, _ in module.bindings.values():
                    visit(self._modules[other])
                done[module.name] = module

        for module in self._modules.values():
            visit(module)
        return list(done.values())

    def _module(self, name: str) -> _Module:
        if name not in self._modules:
            tree = _Stripped().visit(ast.parse(self._path_of(name).read_text(encoding="utf-8")))
            places: dict[str, list[int]] = {}
            for number, statement in enumerate(tree.body):
                for defined in _defined(statement):
                    places.setdefault(defined, []).append(number)
            self._modules[name] = _Module(name, tree.body, places)
        return self._modules[name]

    def _take(self, module: _Module, name: str, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ImportFrom) and _of_project(statement.module):
            original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
            module.bindings[name] = (str(statement.module), original)
            self.need(str(statement.module), original)
            return
        module.needed.add(name)
        for node in ast.walk(statement):
            _refuse_inner_import(module.name, statement, node)
            if isinstance(node, ast.Name) and node.id in module.places and node.id != name:
                self.need(module.name, node.id)


def _refuse_inner_import(module: str, statement: ast.stmt, node: ast.AST) -> None:
    names = [node.module] if isinstance(node, ast.ImportFrom) else []
    names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if any(map(_of_project, names)):
        raise SourceNotExportableError(
            f"{module}, line {statement.lineno}, imports {names[0]} in a way that cannot be followed",
            "import it by `from MODULE import NAME` at the top of the module",
        )


def _of_project(module: str | None) -> bool:
    return str(module).partition(".")[0] in PROJECT_PACKAGES


def _defined(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _written(module: _Module) -> SourceModule:
    lines = ["from __future__ import annotations"]
    for statement in module.statements:
        if not module.needed.isdisjoint(_defined(statement)):
            lines.extend(_lines(statement, module.needed))
    return SourceModule(module.name, "\n".join(lines) + "\n", module.bindings)


def _lines(statement: ast.stmt, needed: set[str]) -> Iterator[str]:
    """A statement as text; of an import only the names that are needed."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        yield ast.unparse(statement)
        return
    for alias in statement.names:
        if (alias.asname or alias.name.partition(".")[0]) in needed:
            single = type(statement)(**{**dict(ast.iter_fields(statement)), "names": [alias]})
            place = (getattr(statement, "module", ""), alias.name)
            yield WITHOUT_LOCK.get((str(place[0]), place[1]), ast.unparse(single))


class _Stripped(ast.NodeTransformer):
    """Without docstrings and annotations; only the fields of a dataclass keep theirs, which make it one."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        node.body = _without_docstring(node.body)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        fields = [line for line in node.body if isinstance(line, ast.AnnAssign)] if node.decorator_list else []
        kept = {id(line) for line in fields}
        body = [line if id(line) in kept else self.visit(line) for line in node.body]
        node.body = _without_docstring([line for line in body if line is not None])
        for line in fields:
            line.annotation = ast.Constant("Any")  # dataclass only asks whether there is one
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        self.generic_visit(node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    kept = [line for line in body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))]
    return kept or [ast.Pass()]
