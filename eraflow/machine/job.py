"""What a stage takes: one frozen dataclass, the same in the task and in the child, and how it crosses the pipe as JSON.

A field decides what the stage makes, and is part of its signature, unless its type is marked: `How[...]` says only how
the work is done (where things lie, what is kept or measured besides), and of `Annotated[..., HowOf(names)]` these parts
say only that. A field of type `Added[... | None]` is part of it where it is not None: whoever does without it has the
signature that there was before the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter

from eraflow.machine.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True)
class HowOf:
    """In a field's type: these parts of it (fields of settings, keys of a dictionary) change no byte of the result."""

    parts: frozenset[str]


WHOLE = HowOf(frozenset())
How = Annotated[T, WHOLE]
"""The type of a field that changes no byte of the result."""


@dataclass(frozen=True)
class AddedLater:
    """In a field's type: None changes no byte of the result."""


Added = Annotated[T, AddedLater()]
"""The type of a field that decides the result unless it is None."""


def as_json(job: Any) -> Any:
    """A job as plain JSON values, all of its fields."""
    kind: Any = type(job)
    return _adapter(kind).dump_python(job, mode="json", warnings=False)


def from_json(kind: type[T], values: Any) -> T:
    """The inverse of `as_json`.

    Raises:
        pydantic.ValidationError: these are not the values of such a job.
    """
    of: Any = kind
    return cast(T, _adapter(of).validate_python(values))


def decided(job: Any) -> dict[str, Any]:
    """The part of `as_json` that decides the result, for the signature; also of the dataclasses in its fields."""
    return _decided(job, as_json(job))


def _decided(job: Any, plain: Mapping[str, Any]) -> dict[str, Any]:
    kind: Any = type(job)
    kept, marks = {}, _marks(kind)
    for name in (each.name for each in fields(job)):
        mark, value, part = marks[name], getattr(job, name), plain[name]
        if mark == WHOLE or (isinstance(mark, AddedLater) and value is None):
            continue
        if is_dataclass(value):
            part = _decided(value, part)
        parts = mark.parts if isinstance(mark, HowOf) else frozenset()
        kept[name] = {key: one for key, one in part.items() if key not in parts} if parts else part
    return kept


@cache
def _marks(kind: Any) -> dict[str, HowOf | AddedLater | None]:
    """What is said of each field."""
    hints = get_type_hints(kind, include_extras=True)
    said = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {
        name: next((each for each in marks if isinstance(each, HowOf | AddedLater)), None)
        for name, marks in said.items()
    }


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


Stage = Callable[[T, Path, Plan], dict[str, Any]]


def stage_function(kind: type[T]) -> Callable[[Stage[T]], Callable[..., dict[str, Any]]]:
    """A stage's function takes its job, the folder that it makes and a plan; in a child each of them comes as JSON."""

    def taking(function: Stage[T]) -> Callable[..., dict[str, Any]]:
        @wraps(function)
        def called(
            job: T | Mapping[str, Any], out: Path | str, plan: Plan | Mapping[str, Any] | None = None
        ) -> dict[str, Any]:
            taken = job if isinstance(job, kind) else from_json(kind, job)
            return function(taken, Path(out), plan if isinstance(plan, Plan) else Plan(**(plan or {})))

        return called

    return taking
