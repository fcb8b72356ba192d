"""The version of a stage's code: a hash over every definition that its function can reach.

A comment, a docstring, a description, formatting, and a definition that the stage does not reach leave finished work
valid; whatever it reaches makes it new. Nothing is executed. A definition is reached by its name, a class as a whole,
and what acts when a module is imported (see `eraflow.runs.sourceunits`) by everybody who imports the module. Where the
source leaves open what a name means, all that it may mean counts.

What a name in the settings stands for cannot be seen in the source: a stage tells the classes of its models itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError
from eraflow.kinds import KINDS, find
from eraflow.runs.codewalk import CHOSEN_BY_NAME, CodeWalk, Target
from eraflow.runs.sourceunits import read_source

PROJECT_PACKAGES = ("eraflow", "models")

RootOf = Callable[[str], Path | None]
OWN = tuple(f"{module}:" for module in sorted(CHOSEN_BY_NAME - {"eraflow.kinds"}))
"""What a user's own kind of model needs besides its class."""


@cache
def installed_root(package: str) -> Path | None:
    """The folder of a top-level package, or the file of a module, as Python would import it; None: there is none."""
    spec = find_spec(package)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def learners_of(kinds: Collection[str]) -> tuple[str, ...]:
    """The code of these kinds of models, for `code_version`; of one that cannot be found, what would have loaded it."""
    found = [KINDS[kind].path for kind in kinds if kind in KINDS]
    for kind in set(kinds) - KINDS.keys():
        found.extend(OWN)
        if _is_file(kind) and not Path(kind).is_absolute():
            continue  # what a saved model calls itself: it names no folder, and a file of that name here is another
        with suppress(EraflowError):
            found.append(find(kind).path)
    return tuple(sorted(set(found)))


def code_version(function: str, learners: Iterable[str] = (), root_of: RootOf = installed_root) -> str:
    """A sha256 over all code of the project, and of the learners' packages, that can change what a stage makes.

    Args:
        function: of the stage, as `package.module:function`.
        learners: what the kinds of its models stand for, see `learners_of`: `package.module:Class`, all of a module as
            `package.module:`, or `FILE.py:Class`, of which the file counts as it is, with what of the project it
            imports.
        root_of: where a top-level package lies.
    """
    places = sorted(set(learners))
    named = [function, *(place for place in places if not _is_file(place))]
    files = [Path(place.rpartition(":")[0]) for place in places if _is_file(place)]
    targets = [*map(_target, named), *(target for path in files for target in _imported_by(path))]
    digest = hashlib.sha256()
    for line in (*_code(targets, root_of), *map(_file, files)):
        digest.update(line.encode() + b"\0")
    return digest.hexdigest()


def _code(targets: list[Target], root_of: RootOf) -> Iterator[str]:
    walk = CodeWalk({*PROJECT_PACKAGES, *(module.partition(".")[0] for module, _ in targets)}, root_of)
    walk.follow(targets)
    return walk.lines()


def _target(place: str) -> Target:
    module, _, name = place.partition(":")
    return module, name or None


def _is_file(place: str) -> bool:
    return place.rpartition(":")[0].endswith(".py")


def _imported_by(path: Path) -> Iterator[Target]:
    """What a user's file imports of the project, wherever in the file."""
    with suppress(OSError, SyntaxError, ValueError):  # the stage itself tells
        source = read_source(path)
        for one in (*source.imports, *(one for unit in source.units for one in unit.imports)):
            if one.module.partition(".")[0] in PROJECT_PACKAGES:
                yield one.module, None if one.name in (None, "*") else one.name


def _file(path: Path) -> str:
    """The hash of a user's file; the stage itself tells that it is gone."""
    return file_sha256(path) if path.is_file() else "no file"
