"""The base of every group of settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from eraflow.settings.profiles import PROFILE_FIELDS
from eraflow.settings.writable import check_writable

BY_PROFILE = " Empty: as the profile says."


def leave_to_the_profile(schema: dict[str, Any]) -> None:
    """Take the defaults of whatever a profile may change out of the JSON schema, which is the form in the Prefect UI.

    The form writes every default that it knows into the run's parameters. With these defaults in it, choosing another
    profile there would change nothing, and a run meant for the sandbox would carry the laptop's settings to Numerai.
    """
    changed = PROFILE_FIELDS.get(schema.get("title", ""), frozenset())
    for name, field in schema.get("properties", {}).items():
        if name in changed and field.pop("default", None) is not None and "description" in field:
            field["description"] += BY_PROFILE
    schema["title"] = schema.get("title", "").removesuffix("Settings")  # what people read over the group


class Section(BaseModel):
    """A group of settings. Unknown names are refused, so that a misspelt setting cannot be silently ignored.

    What is stored and read back is equal: no number that is not finite gets in, nor text that is no Unicode. JSON knows
    neither; a threshold of infinity would be stored as null, which switches its rule off.
    """

    model_config = ConfigDict(
        extra="forbid",
        validate_default=True,
        frozen=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        json_schema_extra=leave_to_the_profile,
    )

    @model_validator(mode="after")
    def _is_stored_as_it_is(self) -> Section:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if not isinstance(value, Section):
                check_writable(value, name)
        return self
