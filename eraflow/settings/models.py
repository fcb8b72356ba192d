"""The members of the ensemble."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from eraflow.kinds import FIRST, KINDS, SEARCHED, USUAL, unknown_kind
from eraflow.ownkinds import GROUP, absolute_kind, is_own, short_name
from eraflow.settings.bag import BagSettings, is_bag
from eraflow.settings.section import Section
from eraflow.settings.writable import shown


def _extras() -> str:
    """What has to be installed for some kinds, for the description of the setting."""
    extras: dict[str, list[str]] = {}
    for kind in KINDS.values():
        if kind.extra:
            extras.setdefault(kind.extra, []).append(kind.name)
    return "".join(f"; for {', '.join(names)} the extra {extra}" for extra, names in extras.items())


def _offer_choices(schema: dict[str, Any]) -> None:
    """In the form, a choice of Eraflow's kinds, or a box for one's own."""
    text = schema.pop("type")
    schema["anyOf"] = [
        {"type": text, "enum": list(KINDS), "title": "Eraflow's"},
        {"type": text, "title": "Your own"},
    ]


MOST_WEIGHT = 100
"""Of a further target: more of it leaves nothing to the target that is predicted."""


class ModelSettings(Section):
    """One member of the ensemble."""

    kind: str = Field(
        FIRST,
        description=f"The learner: {', '.join(KINDS)}{_extras()}, or one of your own: FILE.py:Class, or the name of an "
        f"installed entry point of the group {GROUP}.",
        json_schema_extra=_offer_choices,
    )
    name: str = Field(
        "",
        description="Name in tables and files. Empty: the kind, and what else tells members of one kind apart: "
        "lightgbm-ender60, lightgbm-residual.",
    )
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Overrides of the learner's own settings.")
    target: str | None = Field(
        None,
        min_length=1,
        description="What this member learns: any target of the data, of 20 or 60 days. Empty: the run's target. "
        "Judged is always the run's target.",
    )
    learn: Literal["target", "residual"] = Field(
        "target",
        description="Learn the target, or what of it the benchmark model leaves over (trains only on eras that the "
        "benchmark covers).",
    )
    also_learn: dict[str, float] = Field(
        default_factory=dict,
        description="Networks: targets that the same network learns beside its own, and the weight of each in the "
        "loss, where its own has 1. It predicts its own and is judged by it; the longest horizon decides its purge.",
    )
    tuned: bool = Field(
        False,
        description="Start from the parameters that `eraflow search` kept for this learner; `params` still win. A bag "
        "lays them over its usual recipes, and fits once what becomes alike; recipes of its own lie over them.",
    )
    bag: BagSettings = BagSettings()
    optional: bool = Field(
        False,
        description="Leave this member out, with a warning, where its library is not installed; otherwise that is an "
        "error before any work. Members of a profile that need an extra are optional until they are named.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_after_kind(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = {key: value for key, value in values.items() if key != "bag" or value is not None}
        return values if values.get("name") else {**values, "name": default_name(values)}

    @field_validator("kind")
    @classmethod
    def _is_known(cls, value: str) -> str:
        """Whether a file holds the class is found out before the run: stored settings are read without it, too."""
        if value not in KINDS and not is_own(value):
            raise ValueError(f"there is no model {shown(value)!r}: {unknown_kind(value).remedy}")
        return absolute_kind(value)

    @model_validator(mode="after")
    def _is_searched_where_tuned(self) -> ModelSettings:
        if self.tuned and self.kind not in SEARCHED:
            raise ValueError(f"there is no search for {self.kind}: leave tuned out, and set its params")
        return self

    @model_validator(mode="after")
    def _is_no_bag_of_adapted_bases(self) -> ModelSettings:
        if not self.bag.wanted:
            return self
        given = (self.params, *(recipe.params for recipe in self.bag.recipes))
        if any(params.get("adapt", "none") != "none" for params in given):
            raise ValueError(f"{shown(self.name)} is a bag, and adapts a base: leave adapt or the bag out")
        return self

    @model_validator(mode="after")
    def _learns_several_targets_as_a_network(self) -> ModelSettings:
        if not self.also_learn:
            return self
        if self.kind not in KINDS or not KINDS[self.kind].neural:
            raise ValueError(f"{shown(self.kind)} learns one target: leave also_learn out, or add a member for each")
        if self.learn != "target":
            raise ValueError("also_learn goes with learn=target: a residual is learnt by itself")
        if self.target in self.also_learn:
            raise ValueError(f"also_learn names {shown(str(self.target))}, which the member learns anyway")
        wrong = [name for name, weight in self.also_learn.items() if not (0 < weight <= MOST_WEIGHT) or not name]
        if wrong:
            raise ValueError(f"also_learn: the weight of {shown(wrong[0])} must lie above 0, up to {MOST_WEIGHT}")
        return self

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, value: str) -> str:
        if not value.replace("-", "").replace("_", "").isalnum() or not value.islower():
            raise ValueError(f"a model name holds lower-case letters, digits, - and _; found {value!r}")
        if value == "blend":
            raise ValueError("the name blend is taken by the blend of the models")
        return value


def default_name(model: Mapping[str, Any]) -> str:
    """The name of a member that has none: its kind, its own target in Numerai's short form, and what it learns of it.

    `lightgbm`, `lightgbm-ender60` for target_ender_60, `lightgbm-ender60-residual`; always a safe file name.
    """
    parts = [short_name(str(model.get("kind", FIRST)))]
    if model.get("target"):
        short = str(model["target"]).lower().removeprefix("target_").replace("_", "")
        parts.append(re.sub(r"[^a-z0-9]+", "-", short).strip("-") or "target")
    if model.get("learn") == "residual":
        parts.append("residual")
    if model.get("also_learn"):
        parts.append("several")
    if is_bag(model.get("bag")):
        parts.append("bag")
    return "-".join(parts)


def default_models() -> list[ModelSettings]:
    """The members where none are named."""
    return [ModelSettings(kind=kind) for kind in USUAL]
