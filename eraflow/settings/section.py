"""The base of every group of settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from eraflow.settings.form import draw
from eraflow.settings.writable import check_text, check_writable


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
        hide_input_in_errors=True,  # what was typed may be a secret at the wrong place
        allow_inf_nan=False,
        json_schema_extra=draw,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_means_none(cls, values: Any) -> Any:
        """An emptied text box of the form, where there need not be a text; text that is no Unicode gets no further."""
        if not isinstance(values, dict):
            return values
        for name in cls.model_fields.keys() & values.keys():
            check_text(values[name], name)
        optional = {name for name, field in cls.model_fields.items() if field.default is None}
        return {name: None if value == "" and name in optional else value for name, value in values.items()}

    @model_validator(mode="after")
    def _is_stored_as_it_is(self) -> Section:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if not isinstance(value, Section):
                check_writable(value, name)
        return self
