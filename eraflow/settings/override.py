"""Settings from a profile and `key=value` texts, as the command line gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, get_args

from pydantic import ValidationError

from eraflow.errors import SettingsError
from eraflow.settings.profiles import PROFILES, profile_values
from eraflow.settings.run import ModelKind, ModelSettings, RunSettings, default_name, merge

MARKS: dict[str, dict[str, Any]] = {"residual": {"learn": "residual"}, "tuned": {"tuned": True}}
"""What may follow a model on the command line after a colon."""


def settings_from(profile: str, given: dict[str, Any], assignments: Sequence[str] = ()) -> RunSettings:
    """The settings of a profile with `given` values and `key=value` assignments laid on it, in that order.

    A key is a dotted path such as `windows.folds` or `models.lightgbm.params.n_estimators`; a value is JSON, or text
    where it is not JSON. Models are addressed by name or by position. `models` itself takes a list of
    `KIND[@TARGET][:residual][:tuned]`, in which KIND may be the name of a model of the profile, whose parameters it
    then has: `models=lightgbm,lightgbm@target_b_20,catboost@target_b_20:residual`.

    Raises:
        SettingsError: unknown profile or key, or a value outside its range.
    """
    if profile not in PROFILES:
        raise SettingsError(f"there is no profile {profile!r}", f"choose one of {', '.join(PROFILES)}")
    values = merge({**profile_values(profile), "profile": profile}, given)
    for assignment in assignments:
        _assign(values, assignment)
    return validated(values)


def validated(values: dict[str, Any]) -> RunSettings:
    """The settings, or one SettingsError that lists every wrong field."""
    try:
        return RunSettings(**values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'settings'}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError(faults, "correct it and run again; `eraflow run --help` lists the settings") from error


def _assign(values: dict[str, Any], assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    if not separator or not key:
        raise SettingsError(f"cannot read --set {assignment!r}", "write it as key=value, for example windows.folds=4")
    parts = key.strip().split(".")
    node: Any = values
    for part in parts[:-1]:
        node = _child(node, part, key)
    if node is not values and parts[-1] == "models" and not isinstance(_value(text), list):  # search.models=a,b
        node["models"] = [name.strip() for name in text.split(",")]
        return
    _put(node, parts[-1], _value(text), key)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _child(node: Any, part: str, key: str) -> Any:
    if isinstance(node, list):
        return node[_position(node, part, key)]
    if part == "models":
        node.setdefault("models", [model.model_dump() for model in RunSettings().models])
        _keep_names(node["models"])
    below = node.setdefault(part, {})
    if not isinstance(below, dict | list):
        raise SettingsError(f"--set {key}: {part} holds a value, not a group", "shorten the key")
    return below


def _put(node: Any, part: str, value: Any, key: str) -> None:
    if isinstance(node, list):
        node[_position(node, part, key)] = value
    elif part == "models" and isinstance(value, str):  # models=lightgbm,catboost keeps the profile's own settings
        node["models"] = _told_apart([_member(node, text.strip()) for text in value.split(",")])
    else:
        node[part] = value


def _member(node: dict[str, Any], text: str) -> dict[str, Any]:
    """The model that `KIND[@TARGET][:residual][:tuned]` stands for; its name tells what is particular about it."""
    whole, *marks = text.split(":")
    kind, at, target = whole.partition("@")
    unknown = [mark for mark in marks if mark not in MARKS]
    if unknown or (at and not target):
        raise SettingsError(
            f"cannot read the model {text!r}" + (f": there is no {unknown[0]!r}" if unknown else ": @ names no target"),
            f"write KIND, KIND@TARGET, or either followed by {' or '.join(':' + mark for mark in MARKS)}",
        )
    model: dict[str, Any] = deepcopy(_known_model(node, kind))
    if at or marks:
        changes = ({"target": target} if at else {}, *(MARKS[mark] for mark in marks))
        if model.get("name") in (None, "", default_name(model)):
            model.pop("name", None)  # the new one is named after what it learns
        for change in changes:
            model.update(change)
    return model


def _told_apart(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A tuned model beside the same one untuned is called so: `lightgbm` and `lightgbm-tuned`."""
    names = [_name(model) for model in models]
    for model, name in zip(models, names, strict=True):
        if model.get("tuned") and names.count(name) > 1:
            model["name"] = f"{name}-tuned"
    return models


def _known_model(node: dict[str, Any], name: str) -> Any:
    for model in node.get("models", []):
        if name in (_name(model), model.get("kind")):
            return model
    try:
        return ModelSettings(**{"kind": name}).model_dump()
    except ValidationError as error:
        raise SettingsError(
            f"there is no model {name!r}",
            f"choose from {', '.join(get_args(ModelKind))}, or give models as a JSON list",
        ) from error


def _position(node: list[Any], part: str, key: str) -> int:
    names = [_name(model) if isinstance(model, dict) else "?" for model in node]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(node) and isinstance(node[int(part)], dict):
        return int(part)
    raise SettingsError(f"--set {key}: there is no model {part!r}", f"choose one of {', '.join(names)}")


def _keep_names(models: Any) -> None:
    """A model that is addressed by its name keeps it, whatever is changed of it."""
    for model in models if isinstance(models, list) else []:
        if isinstance(model, dict) and not model.get("name"):
            model["name"] = default_name(model)


def _name(model: Mapping[str, Any]) -> str:
    return str(model.get("name") or default_name(model))
