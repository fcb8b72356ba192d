"""A user's own kind of model: a class in a file, or in an installed package that offers it as an entry point.

Settings name it `FILE.py:Class`, or by the name of an entry point of the group `eraflow.models`. What has to be known
of it before it is trained is read from its source: nothing of it is imported here, for its code runs in children only
(see models/own).
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError

GROUP = "eraflow.models"
DECLARED = ("cost", "library", "needs_whole_eras")
"""Attributes of a class that are read from its source."""
TAKEN_NAMES = frozenset({"blend"})
_FILE = re.compile(r"(?P<file>.+?\.py):(?P<name>[^:@]+)", re.DOTALL)


class ModelFileError(SettingsError):
    """The file of a user's own model is gone, changed, or no Python that can be imported. Mend it or name another."""

    code = "model_file"


class ModelClassError(SettingsError):
    """A user's own model lacks the class, or the class lacks what a learner must have. The text says how it looks."""

    code = "model_class"


class ModelPackageError(SettingsError):
    """The package that a user's own model comes from is not installed here, or two packages offer it."""

    code = "model_package"


@dataclass(frozen=True)
class OwnSource:
    """Where a user's own class is, and what its source says of it.

    Attributes:
        name: short, as a member is called that has no other name.
        path: `FILE.py:Class` with an absolute path, or `module:Class`.
        content: of the file that holds the class.
        declared: values of `DECLARED` that the class gives.
        package, version: what is installed, of an entry point; empty for a file.
    """

    name: str
    path: str
    content: bytes = field(repr=False)
    declared: Mapping[str, Any]
    package: str = ""
    version: str = ""

    @property
    def sha256(self) -> str:
        """Of the source."""
        return hashlib.sha256(self.content).hexdigest()


def is_file_kind(kind: str) -> bool:
    """Whether a kind is written `FILE.py:Class`."""
    found = _FILE.fullmatch(kind)
    return found is not None and found["name"].isidentifier()


def split_file_kind(kind: str) -> tuple[Path, str]:
    """The file and the class of `FILE.py:Class`."""
    file, _, name = kind.rpartition(":")
    return Path(file), name


def absolute_kind(kind: str) -> str:
    """`FILE.py:Class` with the file's absolute path; any other kind as it is."""
    if not is_file_kind(kind):
        return kind
    file, name = split_file_kind(kind)
    return f"{os.path.abspath(os.path.expanduser(file))}:{name}"


def short_name(kind: str) -> str:
    """What a member of this kind is called: the class in small letters, else the file; always a safe file name."""
    parts = [kind]
    if is_file_kind(kind):
        file, name = split_file_kind(kind)
        parts = [name, file.stem]
    safe = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts]
    name = next((each for each in safe if each.islower()), "own")
    return f"{name}-model" if name in TAKEN_NAMES else name


def entry_point(kind: str) -> EntryPoint | None:
    """The entry point of this name, or None.

    Raises:
        ModelPackageError: several packages offer one.
    """
    found = list(entry_points(group=GROUP, name=kind))
    if len({point.value for point in found}) > 1:
        packages = ", ".join(sorted(point.dist.name if point.dist else point.value for point in found))
        raise ModelPackageError(f"several packages offer a model {kind!r}: {packages}", "uninstall all but one of them")
    return found[0] if found else None


def is_own(kind: str) -> bool:
    """Whether a kind names a file or an installed entry point; whether there is a class is not looked at."""
    return is_file_kind(kind) or entry_point(kind) is not None


def own_source(kind: str) -> OwnSource:
    """What the source of a user's own kind says.

    Raises:
        ModelFileError: the file cannot be read, or is no Python.
        ModelClassError: there is no such class in it, or an attribute is not written as it must be.
        ModelPackageError: the entry point's package is gone.
    """
    if is_file_kind(kind):
        file, name = split_file_kind(kind)
        return OwnSource(short_name(kind), absolute_kind(kind), *_read(file, name))
    point = entry_point(kind)
    if point is None:
        raise ModelPackageError(
            f"no installed package offers a model {kind!r}",
            f"install the package whose entry point in the group {GROUP} has this name",
        )
    place = module_file(point.module)
    if place is None:
        raise ModelPackageError(
            f"the model {kind!r} is {point.value}, and there is no module {point.module}",
            "install the package that holds it again",
        )
    package, version = (point.dist.name, point.dist.version) if point.dist else (point.module, "")
    return OwnSource(short_name(kind), f"{point.module}:{point.attr}", *_read(place, point.attr), package, version)


def module_file(module: str) -> Path | None:
    """The file of a module, which is not imported; None where there is none."""
    first, *rest = module.split(".")
    spec = find_spec(first)  # of a module at the top, this imports nothing
    if spec is None or not (rest or spec.origin):
        return None
    if not rest:
        return Path(str(spec.origin))
    for root in spec.submodule_search_locations or ():
        place = Path(root).joinpath(*rest)
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py"), *_compiled(place)):
            if path.is_file():
                return path
    return None


def _compiled(place: Path) -> Iterator[Path]:
    yield from sorted(place.parent.glob(f"{place.name}.*.so"))


def _read(file: Path, name: str) -> tuple[bytes, dict[str, Any]]:
    if file.exists() and not file.is_file():  # a folder; a pipe or a device, whose reading may never end
        raise ModelFileError(f"the model file {file} is no file", "put it back, or name another in `models`")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"the model file {file} cannot be read: {error.strerror}", "put it back, or name another in `models`"
        ) from error
    return content, declared_in(content, file, name) if file.suffix == ".py" else {}


def declared_in(content: bytes, file: Path, name: str) -> dict[str, Any]:
    """What the class says of itself in its source; nothing where the class is made in another way than by `class`.

    Raises:
        ModelFileError: the source is no Python.
        ModelClassError: it binds no such name, or a value is not written out.
    """
    try:
        tree = ast.parse(content, filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ModelFileError(f"{file}{line} is no Python: {error}", "correct the file") from error
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name in classes:
        return dict(_values(classes[name], f"{file.name}:{name}"))
    if name not in {each for node in tree.body for each in _bound(node)}:
        there = ", ".join(classes) or "no class at all"
        raise ModelClassError(f"{file} holds no class {name}; it holds {there}", "name the class as the file has it")
    return {}


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement may bind, at whatever depth: by an import or an assignment."""
    for each in ast.walk(node):
        if isinstance(each, ast.alias):
            yield (each.asname or each.name).partition(".")[0]
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.ClassDef | ast.FunctionDef):
            yield each.name


def _values(made: ast.ClassDef, label: str) -> Iterator[tuple[str, Any]]:
    for node in made.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id in DECLARED:
                yield target.id, _literal(node.value, f"{label}.{target.id}")


def _literal(node: ast.expr, label: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ModelClassError(
            f"{label} is computed, and it is read without importing the class", "write the value itself"
        ) from error
