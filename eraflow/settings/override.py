"""Settings from a profile and `key=value` texts, as the command line gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from eraflow.errors import SettingsError
from eraflow.settings.profiles import PROFILES, profile_values
from eraflow.settings.run import ModelSettings, RunSettings, merge


def settings_from(profile: str, given: dict[str, Any], assignments: Sequence[str] = ()) -> RunSettings:
    """The settings of a profile with `given` values and `key=value` assignments laid on it, in that order.

    A key is a dotted path such as `windows.folds` or `models.lightgbm.params.n_estimators`; a value is JSON, or text
    where it is not JSON. Models are addressed by name or by position.

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
    _put(node, parts[-1], _value(text), key)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _child(node: Any, part: str, key: str) -> Any:
    if isinstance(node, list):
        return node[_position(node, part, key)]
    if part == "models" and "models" not in node:
        node["models"] = [model.model_dump() for model in RunSettings().models]
    below = node.setdefault(part, {})
    if not isinstance(below, dict | list):
        raise SettingsError(f"--set {key}: {part} holds a value, not a group", "shorten the key")
    return below


def _put(node: Any, part: str, value: Any, key: str) -> None:
    if isinstance(node, list):
        node[_position(node, part, key)] = value
    elif part == "models" and isinstance(value, str):  # models=lightgbm,catboost keeps the profile's own settings
        node["models"] = [_known_model(node, kind.strip()) for kind in value.split(",")]
    else:
        node[part] = value


def _known_model(node: dict[str, Any], name: str) -> Any:
    for model in node.get("models", []):
        if name in (model.get("name"), model.get("kind")):
            return model
    try:
        return ModelSettings(**{"kind": name}).model_dump()
    except ValidationError as error:
        raise SettingsError(
            f"there is no model {name!r}", "choose from lightgbm, xgboost, catboost, or give models as a JSON list"
        ) from error


def _position(node: list[Any], part: str, key: str) -> int:
    names = [str(model.get("name") or model.get("kind")) if isinstance(model, dict) else "?" for model in node]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(node) and isinstance(node[int(part)], dict):
        return int(part)
    raise SettingsError(f"--set {key}: there is no model {part!r}", f"choose one of {', '.join(names)}")
