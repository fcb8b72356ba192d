"""The version of a stage's code: a hash over its module and everything of this project that it imports.

A change in any of those files makes the stage new, a change elsewhere leaves its finished work valid. Imports are
read from the source, so nothing is executed and imports inside functions count too.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PROJECT_PACKAGES = ("eraflow", "models")


@cache
def code_version(module: str) -> str:
    """A sha256 over the source of `module` and of all project modules that it imports, directly or not."""
    digest = hashlib.sha256()
    for name in sorted(_closure(module)):
        path = _source_path(name)
        if path is not None:
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _closure(module: str) -> set[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _source_path(name)
        if path is not None:
            waiting.extend(_project_imports(path))
    return seen


def _project_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PROJECT_PACKAGES and _source_path(name))


@cache
def _source_path(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None
