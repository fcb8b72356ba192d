"""Settings and tags as MLflow takes them: flat names, texts of limited length."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

PARAM_VALUE_LENGTH = 6000  # mlflow.utils.validation.MAX_PARAM_VAL_LENGTH, MAX_TAG_VAL_LENGTH, MAX_ENTITY_KEY_LENGTH
TAG_VALUE_LENGTH = 8000
KEY_LENGTH = 250


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries, and lists that hold dictionaries, as dotted names. Other values stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            value = {str(place): item for place, item in enumerate(value)}
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def text_params(flat: Mapping[str, Any]) -> dict[str, str]:
    """Names and values within MLflow's limits."""
    return {key_text(name): cut_text(value_text(value), PARAM_VALUE_LENGTH) for name, value in flat.items()}


def as_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags within MLflow's limits; None values are left out."""
    return {
        key_text(n): cut_text(value_text(value), TAG_VALUE_LENGTH) for n, value in tags.items() if value is not None
    }


def value_text(value: Any) -> str:
    """A value as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def cut_text(text: str, length: int) -> str:
    """The text, or its beginning with a note of how long it was."""
    if len(text) <= length:
        return text
    note = f" ... [cut, {len(text)} characters]"
    return text[: length - len(note)] + note


def key_text(name: str) -> str:
    """A name of the characters that MLflow allows in names."""
    return re.sub(r"[^\w.\- /:]", "_", name)[:KEY_LENGTH]
