"""Models as the command line names them: `lightgbm@target_b_20:residual`, `xgboost:single`, `./mine.py:Mine`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from eraflow.errors import SettingsError
from eraflow.kinds import KINDS, unknown_kind
from eraflow.ownkinds import absolute_kind
from eraflow.settings.bag import is_bag
from eraflow.settings.models import ModelSettings, default_name
from eraflow.settings.writable import shown

MARKS: dict[str, dict[str, Any]] = {
    "residual": {"learn": "residual"},
    "tuned": {"tuned": True},
    "bag": {"bag": {"standard": True}},
    "single": {"bag": {}},
}
"""What may follow a model on the command line after a colon."""
ALL = "all"
"""Stands for every kind that Eraflow brings; one that needs an extra is left out where that is not installed."""
FILE_BEFORE_CLASS = re.compile(r".+?\.py:", re.DOTALL)


def chosen_models(known: Sequence[Any], texts: Sequence[str]) -> list[dict[str, Any]]:
    """The models that such texts stand for; one that is known by its name or kind keeps its own settings,
    but is no longer optional. `all` stands for one of every kind.

    Raises:
        SettingsError: no such kind or mark, or no name after the @.
    """
    models: list[dict[str, Any]] = []
    for text in texts:
        models += _every_kind(known, texts) if text == ALL else [_member(known, text)]
    return _told_apart(models)


def keep_names(models: Any) -> None:
    """A model that is addressed by its name keeps it, whatever is changed of it."""
    for model in models:
        if not model.get("name"):
            model["name"] = default_name(model)


def position_of(models: Sequence[Mapping[str, Any]], part: str, key: str) -> int:
    """The position of the model that a part of a key names, or counts.

    Raises:
        SettingsError: there is none.
    """
    names = [_name(model) for model in models]
    if part in names:
        return names.index(part)
    if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(models):
        return int(part)
    raise SettingsError(
        f"{key}: there is no model {shown(part)!r}",
        f"choose one of {', '.join(map(shown, names))}, or name it in models=",
    )


def _every_kind(known: Sequence[Any], texts: Sequence[str]) -> list[dict[str, Any]]:
    """A member of each kind that the texts do not name besides."""
    rows = [row for row in KINDS.values() if row.name not in texts]
    return [{**_member(known, row.name), "optional": bool(row.extra)} for row in rows]


def _member(known: Sequence[Any], text: str) -> dict[str, Any]:
    """The model that `KIND[@TARGET][:residual][:tuned][:bag|:single]` stands for; its name tells what was said of it.

    A search finds one set of parameters, a bag is made of several: `:tuned` is one fit where no `:bag` is beside it.
    """
    kind, at, target, marks = _parts(text)
    unknown = [mark for mark in marks if mark not in MARKS]
    if unknown or (at and not target):
        raise SettingsError(
            f"cannot read the model {shown(text)!r}"
            + (f": there is no {shown(unknown[0])!r}" if unknown else ": @ names no target"),
            "write KIND or FILE.py:Class, alone or with @TARGET, followed by any of "
            + ", ".join(f":{mark}" for mark in MARKS),
        )
    if {"bag", "single"} <= set(marks):
        raise SettingsError(f"{shown(text)!r} is to be a bag and one fit", "keep :bag or :single")
    model = _known_model(known, kind)
    before = dict(model)
    for change in ({"target": target} if at else {}, *(MARKS[mark] for mark in marks)):
        model.update(deepcopy(change))
    if "tuned" in marks and "bag" not in marks:
        model.update(deepcopy(MARKS["single"]))
    if (at or marks) and before.get("name") in (None, "", default_name(before), _plain_name(before)):
        model["name"] = _new_name(before, model, marks)
    return model


def _new_name(before: Mapping[str, Any], model: Mapping[str, Any], marks: Sequence[str]) -> str:
    """After what it learns, and whether it is a bag where that was said; a bag that a profile brings goes unsaid."""
    if is_bag(model.get("bag")) and ("bag" in marks or before.get("name") != _plain_name(before)):
        return default_name(model)
    return _plain_name(model) + ("-single" if "single" in marks else "")


def _plain_name(model: Mapping[str, Any]) -> str:
    return default_name({**model, "bag": None})


def _parts(text: str) -> tuple[str, str, str, list[str]]:
    """Kind, @ where there is one, target and marks; the colon of `FILE.py:Class` belongs to the kind."""
    file, class_and_more = "", text
    if found := FILE_BEFORE_CLASS.match(text):
        file, class_and_more = found[0], text[found.end() :]
    whole, *marks = class_and_more.split(":")
    kind, at, target = whole.partition("@")
    return absolute_kind(file + kind), at, target, marks


def _told_apart(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A tuned model beside the same one untuned is called so: `lightgbm` and `lightgbm-tuned`."""
    names = [_name(model) for model in models]
    for model, name in zip(models, names, strict=True):
        if model.get("tuned") and names.count(name) > 1:
            model["name"] = f"{name}-tuned"
    return models


def _known_model(known: Sequence[Any], name: str) -> dict[str, Any]:
    for model in known:
        if name in (_name(model), model.get("kind")):
            return {**deepcopy(model), "optional": False}  # who names it wants it
    try:
        return ModelSettings(**{"kind": name}).model_dump(mode="json")
    except ValidationError as error:
        raise SettingsError(f"there is no model {shown(name)!r}", unknown_kind(name).remedy) from error


def _name(model: Mapping[str, Any]) -> str:
    return str(model.get("name") or default_name(model))
