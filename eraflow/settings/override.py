"""Settings from a profile and `key=value` texts, as the command line gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from eraflow.errors import SettingsError
from eraflow.settings.listing import alternatives, did_you_mean, section_of
from eraflow.settings.members import chosen_models, keep_names, position_of
from eraflow.settings.models import ModelSettings
from eraflow.settings.profiles import PROFILES, profile_values
from eraflow.settings.reading import read_json, read_value
from eraflow.settings.run import RunSettings, merge
from eraflow.settings.writable import shown

FAULTS_SHOWN = 5
LONGEST_FAULT = 400


def settings_from(profile: str, given: dict[str, Any], assignments: Sequence[str] = ()) -> RunSettings:
    """The settings of a profile with `given` values and `key=value` assignments laid on it, in that order.

    A key is a dotted path such as `windows.folds` or `models.lightgbm.params.n_estimators`; how its value is read says
    `eraflow.settings.reading`. Models are addressed by name or by position. `models` itself takes a list of
    `KIND[@TARGET][:residual][:tuned][:bag|:single]`, in which KIND may be the name of a model of the profile, whose
    parameters and bag it then has: `models=lightgbm,lightgbm@target_b_20,catboost@target_b_20:residual`.

    Raises:
        SettingsError: unknown profile or key, or a value outside its range.
    """
    profile = named_profile(assignments) or profile
    if profile not in PROFILES:
        raise SettingsError(f"there is no profile {shown(profile)!r}", f"choose one of {', '.join(PROFILES)}")
    return _laid_on({**profile_values(profile), "profile": profile}, given, assignments)


def settings_on(stored: RunSettings, given: dict[str, Any], assignments: Sequence[str] = ()) -> RunSettings:
    """Stored settings, of which only what is named is changed.

    Raises:
        SettingsError: as `settings_from`.
    """
    return _laid_on(stored.model_dump(mode="json"), given, assignments)


def named_profile(assignments: Sequence[str]) -> str | None:
    """The profile that `profile=NAME` among the assignments names, or None: the others are then laid on it."""
    found = [text.strip() for key, _, text in (one.partition("=") for one in assignments) if key.strip() == "profile"]
    return found[-1] if found else None


def validated(values: dict[str, Any]) -> RunSettings:
    """The settings, or one SettingsError that lists the wrong fields."""
    try:
        return RunSettings(**values)
    except ValidationError as error:
        raise settings_error(error) from error


def settings_error(error: ValidationError) -> SettingsError:
    """What pydantic found as one error with a remedy; long lists and texts are cut."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_fault(fault) for fault in faults[:FAULTS_SHOWN]]
    told += [f"and {len(faults) - FAULTS_SHOWN} more"] if len(faults) > FAULTS_SHOWN else []
    unknown = [".".join(map(str, fault["loc"])) for fault in faults if fault["type"] == "extra_forbidden"]
    remedy = did_you_mean(unknown[0]) if unknown else "correct it and run again; `eraflow settings` lists all settings"
    return SettingsError("; ".join(told), remedy)


def _fault(fault: Any) -> str:
    where = shown(".".join(str(part) for part in fault["loc"])) or "settings"
    if fault["type"] == "extra_forbidden":
        return f"{where} is no setting"
    text = f"{where}: {fault['msg'].removeprefix('Value error, ')}"
    return text if len(text) <= LONGEST_FAULT else text[: LONGEST_FAULT - 3] + "..."


def _laid_on(values: dict[str, Any], given: dict[str, Any], assignments: Sequence[str]) -> RunSettings:
    values = merge(deepcopy(values), given)
    for assignment in assignments:
        _assign(values, assignment)
    return validated(values)


def _assign(values: dict[str, Any], assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    head, *rest = [part.strip() for part in key.split(".")]
    if not separator or not head:
        raise SettingsError(
            f"cannot read --set {shown(assignment)!r}", "write it as key=value, for example windows.folds=4"
        )
    key = shown(key.strip())
    if head == "models":
        _assign_models(values, rest, text, key)
    elif not rest and (group := _group(head)) is not None:
        values[head] = merge(values.get(head, {}), _object(text, key, group))
    elif rest and (group := _group(head)) is not None:
        _assign_in(group, values.setdefault(head, {}), rest, text, key)
    else:
        _assign_in(RunSettings, values, [head, *rest], text, key)


def _group(name: str) -> type[BaseModel] | None:
    field = RunSettings.model_fields.get(name)
    return None if field is None else section_of(field)


def _object(text: str, key: str, group: type[BaseModel]) -> dict[str, Any]:
    value = read_json(text, key)
    if not isinstance(value, dict):
        raise SettingsError(
            f"{key} is a group of settings, and {shown(text)!r} is no JSON object",
            f"name one of the group, for example {key}.{next(iter(group.model_fields))}",
        )
    return value


def _assign_in(group: type[BaseModel], values: dict[str, Any], parts: Sequence[str], text: str, key: str) -> None:
    """Set one setting of a group, or a place within one that holds names and values."""
    field = group.model_fields.get(parts[0])
    if field is None:
        raise SettingsError(f"{key} is no setting", did_you_mean(key))
    below = section_of(field)
    if len(parts) == 1:
        read = read_value(field.annotation, text, key) if below is None else _object(text, key, below)
        values[parts[0]] = read
        return
    if below is not None:
        if not isinstance(values.get(parts[0]), dict):
            values[parts[0]] = {}
        _assign_in(below, values[parts[0]], parts[1:], text, key)
        return
    if not any(getattr(one, "__origin__", one) is dict for one in alternatives(field.annotation)):
        raise SettingsError(f"{key}: {parts[0]} holds a value, not a group", "shorten the key")
    if not isinstance(values.get(parts[0]), dict):
        values[parts[0]] = {}
    _put_within(values[parts[0]], list(parts[1:]), read_json(text, key), key)


def _put_within(node: Any, parts: list[str], value: Any, key: str) -> None:
    """Put a value into nested JSON: names are made where they are not there, positions have to be there."""
    for index, part in enumerate(parts):
        place: Any = part
        if not part:
            raise SettingsError(f"{key} has an empty part", "write it as key=value, for example windows.folds=4")
        if isinstance(node, list):
            place = _position(node, part, key)
        elif not isinstance(node, dict):
            raise SettingsError(f"{key}: {shown(parts[index - 1])} holds a value, not a group", "shorten the key")
        if index == len(parts) - 1:
            node[place] = value
        else:
            node = node[place] if isinstance(node, list) else node.setdefault(place, {})


def _position(node: Sequence[Any], part: str, key: str) -> int:
    if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(node):
        return int(part)
    raise SettingsError(f"{key}: there is no position {shown(part)!r} in a list of {len(node)}", "count from 0")


def _assign_models(values: dict[str, Any], rest: Sequence[str], text: str, key: str) -> None:
    known = values.setdefault("models", [model.model_dump(mode="json") for model in RunSettings().models])
    if not rest:
        if text.lstrip()[:1] in ("[", "{"):
            values["models"] = _list_of_models(known, text, key)
        else:
            values["models"] = chosen_models(known, list(_names(text)))
        return
    keep_names(known)
    index = position_of(known, rest[0], key)
    if len(rest) == 1:
        known[index] = merge(known[index], _object(text, key, ModelSettings))
    else:
        _assign_in(ModelSettings, known[index], rest[1:], text, key)


def _names(text: str) -> Iterator[str]:
    """The names in a text with commas between them, which may be in quotes as JSON has it."""
    value = read_json(text, "models")
    yield from (part.strip() for part in (value if isinstance(value, str) else text).split(","))


def _list_of_models(known: Sequence[Any], text: str, key: str) -> list[Any]:
    value = read_json(text, key)
    if not isinstance(value, list):
        raise SettingsError(f"{key} is no JSON list: {shown(text)}", "write names with commas between, or a JSON list")
    wrong = [one for one in value if not isinstance(one, dict | str)]
    if wrong:
        raise SettingsError(f"{key} holds {shown(str(wrong[0]))}, which is no model", "write names or JSON objects")
    return [model for one in value for model in ([one] if isinstance(one, dict) else chosen_models(known, [one]))]
