"""The parameters of networks: which values they may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from models.base.protocol import ModelSettingsError

Accepted = tuple[Callable[[Any], bool], str]
"""Whether a value will do, and in words which ones do."""


def is_whole(value: Any) -> bool:
    """A whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: Any) -> bool:
    """A finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


WHOLE: Accepted = (is_whole, "a whole number from 1")
SHARE: Accepted = (lambda v: is_number(v) and 0 <= v < 1, "a number from 0, below 1")
SIZES: Accepted = (
    lambda v: isinstance(v, list) and len(v) > 0 and all(map(is_whole, v)),
    "a list of whole numbers from 1",
)
OF_TRAINING: dict[str, Accepted] = {
    "epochs": WHOLE,
    "batch_size": WHOLE,
    "learning_rate": (lambda v: is_number(v) and v > 0, "a number above 0"),
    "weight_decay": (lambda v: is_number(v) and v >= 0, "a number from 0"),
}
"""What every network has; see models/networks/recipe.py."""


def check_parameters(kind: str, accepted: Mapping[str, Accepted], params: Mapping[str, Any]) -> None:
    """Refuse what a kind of network does not know.

    Raises:
        ModelSettingsError: there is no such parameter, or its value will not do.
    """
    for name, value in params.items():
        if name not in accepted:
            raise ModelSettingsError(f"{kind} has no parameter {name!r}", f"use {', '.join(accepted)}")
        accepts, wanted = accepted[name]
        if not accepts(value):
            raise ModelSettingsError(f"{kind}: {name} is {value!r}", f"use {wanted}")
