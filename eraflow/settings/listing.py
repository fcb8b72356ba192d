"""Every setting by its dotted name: what it takes, what it means, what each profile sets it to."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from eraflow.settings.bag import BagRecipe
from eraflow.settings.ensembles import EnsembleSettings
from eraflow.settings.models import ModelSettings
from eraflow.settings.profiles import PROFILES
from eraflow.settings.run import RunSettings

NAME = "NAME"
"""Stands for a model's name: `models.NAME.target`."""
LISTED: dict[Any, str] = {ModelSettings: "models", BagRecipe: "recipes", EnsembleSettings: "ensembles"}
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "names and values"}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: dotted, as `--set` takes it.
        takes: its type and range in words.
        optional: whether it may be empty (`null`).
        text: what it means.
        defaults: profile -> value, as JSON; those of `models.NAME` belong to a model that is not told anything.
    """

    name: str
    takes: str
    optional: bool
    text: str
    defaults: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(self.__dict__)


def all_settings() -> dict[str, Setting]:
    """Every setting by its name, in the order of the form."""
    return dict(_all())


@lru_cache(maxsize=1)
def _all() -> tuple[tuple[str, Setting], ...]:
    values = {profile: RunSettings(profile=profile).model_dump(mode="json") for profile in PROFILES}
    found = list(_of(RunSettings, "", values))
    model = ModelSettings().model_dump(mode="json")
    found += _of(ModelSettings, f"models.{NAME}.", dict.fromkeys(PROFILES, model))
    return tuple((setting.name, setting) for setting in found)


def _of(group: type[BaseModel], prefix: str, values: dict[str, dict[str, Any]]) -> Iterator[Setting]:
    for name, field in group.model_fields.items():
        defaults = {profile: given[name] for profile, given in values.items()}
        below = section_of(field)
        if below is not None:
            yield from _of(below, f"{prefix}{name}.", defaults)
        else:
            yield Setting(f"{prefix}{name}", takes(field), is_optional(field), field.description or "", defaults)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The group of settings that a field holds, or None for a single setting."""
    held = field.annotation
    return held if isinstance(held, type) and issubclass(held, BaseModel) else None


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type there is."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def is_optional(field: FieldInfo) -> bool:
    """Whether a setting may be empty."""
    return type(None) in alternatives(field.annotation)


def takes(field: FieldInfo) -> str:
    """The type and range of a setting in words."""
    words = " or ".join(_word(one) for one in alternatives(field.annotation) if one is not type(None))
    bounds = ", ".join(_bounds(field))
    return f"{words}, {bounds}" if bounds else words


def _word(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in inside)
    if origin is list:
        return f"list of {LISTED.get(inside[0]) or _word(inside[0]) + 's'}"
    return WORDS.get(origin or annotation, str(getattr(annotation, "__name__", annotation)))


def _bounds(field: FieldInfo) -> Iterator[str]:
    for name, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        for one in field.metadata:
            bound = getattr(one, name, None)
            if bound is not None:
                yield f"{word} {bound}"


def near_to(name: str) -> list[str]:
    """Names of settings that somebody who wrote `name` may have meant, the best first; at most three."""
    known = list(all_settings())
    groups = sorted({one.rpartition(".")[0] for one in known} - {""})
    parts = name.strip().lower()[:200].split(".")
    model = parts[1] if parts[0] == "models" and len(parts) > 2 else NAME
    wanted = ".".join(["models", NAME, parts[2]] if model != NAME else parts)
    last = wanted.rpartition(".")[2]
    ends: dict[str, list[str]] = {}
    for one in known:
        ends.setdefault(one.rpartition(".")[2], []).append(one)
    close = difflib.get_close_matches(wanted, known + groups, n=3, cutoff=0.75)
    alike = [one for end in difflib.get_close_matches(last, list(ends), n=2, cutoff=0.75) for one in ends[end]]
    return [one.replace(NAME, model) for one in dict.fromkeys([*close, *ends.get(last, []), *alike])][:3]


def did_you_mean(name: str) -> str:
    """What to do about a setting that there is not."""
    near = near_to(name)
    return (f"did you mean {' or '.join(near)}? " if near else "") + "`eraflow settings` lists them all"
