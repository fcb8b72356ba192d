"""A source file as units: definitions, which count where their names are used, and what acts when it is imported.

A unit is known by its syntax tree without what cannot change a result: comments, formatting, docstrings and other bare
strings, descriptions of settings and arguments, and annotations. Those of a class stay, for pydantic and dataclasses
read them.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

QUIET_CALLS = frozenset({
    "Field", "field", "ConfigDict", "BeforeValidator", "AfterValidator", "WrapValidator", "model_validator",
    "field_validator", "dataclass", "property", "cached_property", "classmethod", "staticmethod", "abstractmethod",
    "contextmanager", "contextlib.contextmanager", "cache", "lru_cache", "runtime_checkable", "stage_function",
    "TypeVar", "get_args",
    "frozenset", "set", "tuple", "list", "dict", "range", "len", "timedelta", "Path", "math.sqrt", "re.compile",
    "struct.Struct", "logging.getLogger", "threading.Lock",
})  # fmt: skip
"""May be called while a module is imported: they leave nothing behind but their result."""
DESCRIPTIONS = {"Field": ("description", "title", "examples"), "add_argument": ("help",)}
"""Keywords of a call that are read by people alone."""
CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__", "model_post_init"})
SUBCLASSED = frozenset({"__init_subclass__"})

Reference = tuple[str, str | None]
"""A name that is read, and the attribute that is taken of it, if any."""


@dataclass(frozen=True)
class Imported:
    """What an import binds: a module (`name` is None), or something in it, which may be a module too."""

    bound: str
    module: str
    name: str | None


@dataclass(frozen=True)
class Unit:
    """A statement at the top of a module.

    Attributes:
        digest: sha256 of its syntax tree, as described above.
        binds: the names that it gives a value.
        reads: every name in it, local ones too.
        imports: what is imported inside it.
        acts: its import may do more than bind these names.
        calls: dotted names of what its import calls, without `QUIET_CALLS`.
        bases: dotted names of a class's bases; None for anything else than a class.
        hooks: the methods that making the class's instances or subclasses would call.
    """

    digest: str
    binds: frozenset[str]
    reads: frozenset[Reference]
    imports: tuple[Imported, ...]
    acts: bool
    calls: frozenset[str]
    bases: frozenset[str] | None
    hooks: frozenset[str]


@dataclass(frozen=True)
class Source:
    """A module: its units in order, and the imports at its top."""

    units: tuple[Unit, ...]
    imports: tuple[Imported, ...]

    @cached_property
    def visible(self) -> tuple[Imported, ...]:
        """The imports whose names the whole module knows: those at its top, and in an `if` or a `try` there."""
        return (*self.imports, *(one for unit in self.units if unit.acts for one in unit.imports))

    @cached_property
    def names(self) -> frozenset[str]:
        """What the units bind."""
        return frozenset(name for unit in self.units for name in unit.binds)


def read_source(path: Path) -> Source:
    """The module in a file, which is parsed again only when it has changed.

    Raises:
        OSError, SyntaxError: it cannot be read or is no Python.
    """
    state = path.stat()
    return _parsed(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1024)
def _parsed(path: Path, changed_ns: int, size: int) -> Source:
    """The module as it was at this time and size, which are part of the cache's key."""
    tree = _Bare().visit(ast.parse(path.read_bytes(), filename=str(path)))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    others = [node for node in tree.body if node not in top and not _is_main(node)]
    times = Counter(name for node in others for name in _binds(node))
    again = {name for name, count in times.items() if count > 1}
    return Source(tuple(_unit(node, again) for node in others), tuple(one for node in top for one in _imported(node)))


class _Bare(ast.NodeTransformer):
    """Takes out of a tree what cannot change a result."""

    in_class = False

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if all(_called(each) in QUIET_CALLS for each in node.decorator_list):  # others may read the annotations
            node.returns = None
            for each in ast.walk(node.args):
                if isinstance(each, ast.arg):
                    each.annotation = None
        return self._inside(node, in_class=False)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, in_class=True)

    def _inside(self, node: ast.AST, *, in_class: bool) -> ast.AST:
        outside, self.in_class = self.in_class, in_class
        self.generic_visit(node)
        self.in_class = outside
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if self.in_class or node.value is None:
            return node
        return ast.Assign([node.target], node.value)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        dropped = DESCRIPTIONS.get(name, ())
        node.keywords = [each for each in node.keywords if each.arg not in dropped]
        return self.generic_visit(node)


def _unit(node: ast.stmt, again: set[str]) -> Unit:
    binds, made = _binds(node), node if isinstance(node, ast.ClassDef) else None
    return Unit(
        digest=hashlib.sha256(_text(node).encode()).hexdigest(),
        binds=binds,
        reads=frozenset(_reads(node)),
        imports=tuple(one for part in ast.walk(node) for one in _imported(part)),
        acts=not binds or bool(binds & again) or (made is not None and bool(made.keywords)),
        calls=frozenset(_called(each) for each in _called_at_import(node)) - QUIET_CALLS,
        bases=None if made is None else frozenset(map(_called, made.bases)),
        hooks=frozenset() if made is None else _hooks(made),
    )


def _text(value: object) -> str:
    """Like `ast.dump`, whose form changes with Python's version."""
    if isinstance(value, ast.AST):
        fields = (f"{name}={_text(each)}" for name, each in ast.iter_fields(value) if each is not None and each != [])
        return f"{type(value).__name__}({','.join(fields)})"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return repr(value)


def _binds(node: ast.stmt) -> frozenset[str]:
    """The names of a definition or of an assignment to names alone."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({node.name})
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = frozenset(one.id for one in targets if isinstance(one, ast.Name))
    return names if len(names) == len(targets) else frozenset()


def _hooks(node: ast.ClassDef) -> frozenset[str]:
    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    return frozenset(methods & (CONSTRUCTORS | SUBCLASSED))


def _called_at_import(node: ast.AST) -> Iterator[ast.expr]:
    """Decorators, and calls in defaults, bases and values: everything outside the bodies of functions."""
    if isinstance(node, ast.Call):
        yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from node.decorator_list
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _called_at_import(child)


def _called(node: ast.expr) -> str:
    """The dotted name of a decorator or of what a call calls: `lru_cache` of `@lru_cache(maxsize=1)`."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def _imported(node: ast.AST) -> Iterator[Imported]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Imported(alias.asname or alias.name.partition(".")[0], alias.name, None)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield Imported(alias.asname or alias.name, "." * node.level + (node.module or ""), alias.name)


def _reads(node: ast.AST) -> Iterator[Reference]:
    """Names with one attribute, and bare ones, also those that a string in an annotation of a class may mean."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield node.value.id, node.attr
        return
    if isinstance(node, ast.Name):
        yield node.id, None
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value, None
    for child in ast.iter_child_nodes(node):
        yield from _reads(child)


def _is_main(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":` is not run by a stage, whose module is imported."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
