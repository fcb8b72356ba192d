"""The parameters of a base that is trained rarely, and adapted to the newest eras in every fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.base.protocol import ModelSettingsError
from models.networks.parameters import FROM_ZERO, WHOLE, Accepted

LORA, NONE = "lora", "none"
ADAPTATION_DEFAULTS: dict[str, Any] = {
    "lora_rank": 4,
    "lora_alpha": 8.0,
    "lora_updates": 60,
    "lora_learning_rate": 0.0005,
    "base_eras": 104,
    "adapt_eras": 104,
    "judge_eras": 52,
    "merge_margin": 0.001,
}
"""With `adapt="lora"`; a model without it has none of them, so that nothing of it changes.

Two years from one base to the next; adapters learn from two years, and a year judges them. For a 20-day target that are
four cosines of `eraflow.scoring.statistics`; for 60 days one. A base is seldom better than another by less than .001
CORR for a reason.
"""
OF_ADAPTATION: dict[str, Accepted] = {
    "adapt": (lambda v: v in (NONE, LORA), "none or lora"),
    "lora_rank": WHOLE,
    "lora_alpha": (lambda v: FROM_ZERO[0](v) and v > 0, "a number above 0"),
    "lora_updates": WHOLE,
    "lora_learning_rate": (lambda v: FROM_ZERO[0](v) and v > 0, "a number above 0"),
    "base_eras": WHOLE,
    "adapt_eras": WHOLE,
    "judge_eras": WHOLE,
    "merge_margin": FROM_ZERO,
}


def with_adaptation(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that were given, with the usual ones of an adaptation where there is one.

    Raises:
        ModelSettingsError: there are parameters of an adaptation, and there is none.
    """
    given = dict(params)
    if adapts(given):
        return {**ADAPTATION_DEFAULTS, **given}
    idle = [name for name in ADAPTATION_DEFAULTS if name in given]
    if idle:
        raise ModelSettingsError(f"{kind}: {idle[0]} is set, and nothing is adapted", "set adapt to lora, too")
    return {name: value for name, value in given.items() if (name, value) != ("adapt", NONE)}


def without_adaptation(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the base alone."""
    return {name: value for name, value in params.items() if name not in OF_ADAPTATION}


def adapts(params: Mapping[str, Any]) -> bool:
    """Whether a base is adapted."""
    return bool(params.get("adapt", NONE) == LORA)
