"""How the settings are drawn: their JSON schema is the form in the Prefect UI (Deployments, Run, Custom run).

Prefect's form sorts fields by the key `position`, which is its own; draws a choice (`anyOf`) as a row of buttons of
which one is open; and writes every default that the schema names into the run's parameters. So a week's own questions
stand first, every other group is a choice between what the profile says and fields of one's own, and an empty text
box takes the place of the buttons `str` and `None`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from eraflow.settings.profiles import PROFILE_FIELDS

BY_PROFILE = " Empty: as the profile says."
FOLDED = "As the profile says"
OPEN = frozenset({"submit", "data"})
"""Groups whose fields are seen at once."""
FIRST: Mapping[str, tuple[str, ...]] = {
    "RunSettings": ("submit", "profile", "data", "models"),
    "DataSettings": ("target", "features"),
    "SubmitSettings": ("model", "as", "dry_run"),
}
LAST: Mapping[str, tuple[str, ...]] = {"RunSettings": ("seed", "home", "run_dir")}


def draw(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Put the schema of one group of settings in the form that the Prefect UI draws well; what it accepts stays."""
    _leave_to_the_profile(schema, model)
    for name, field in schema.get("properties", {}).items():
        _empty_is_none(field)
        field["position"] = _position(model, name)
        if "$ref" in field and name not in OPEN:
            _fold(name, field, model.model_fields[name].annotation)
    schema["title"] = schema.get("title", "").removesuffix("Settings")  # what people read over the group


def _leave_to_the_profile(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Take the defaults of whatever a profile may change out of the schema.

    The form writes every default that it knows into the run's parameters. With these defaults in it, choosing another
    profile there would change nothing, and a run meant for the sandbox would carry the laptop's settings to Numerai.
    """
    changed = PROFILE_FIELDS.get(model.__name__, frozenset())
    for name, field in schema.get("properties", {}).items():
        if name in changed and field.pop("default", None) is not None and "description" in field:
            field["description"] += BY_PROFILE


def _empty_is_none(field: dict[str, Any]) -> None:
    """One box instead of two buttons, where empty is the default anyway; Prefect takes null for a field without one."""
    if field.get("default", ...) is not None or len(field.get("anyOf", ())) != 2:
        return
    kinds = [kind for kind in field["anyOf"] if kind != {"type": "null"}]
    if len(kinds) == 1 and kinds[0].get("type") in ("string", "integer", "number") and "enum" not in kinds[0]:
        del field["anyOf"], field["default"]
        field.update(kinds[0])


def _position(model: type[BaseModel], name: str) -> int:
    first, last = FIRST.get(model.__name__, ()), LAST.get(model.__name__, ())
    others = [each for each in model.model_fields if each not in first + last]
    return 1 + [*first, *others, *last].index(name)


def _fold(name: str, field: dict[str, Any], group: Any) -> None:
    """A group of which nothing is seen, and nothing sent, until somebody chooses to set it."""
    field["anyOf"] = [{"type": "null", "title": FOLDED}, {"$ref": field.pop("$ref")}]
    field["default"] = None
    field["title"] = name.capitalize()
    field["description"] = inspect.getdoc(group)
