"""How the members become one prediction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eraflow.settings.section import Section

BlendMethod = Literal["rank-gaussian", "exponential", "recent-mean", "payout", "stack"]
"""The rows of `BLENDS` in `models/ensembles/blends.py`, which this room may not import; a test compares."""


class BlendSettings(Section):
    """How the members become one prediction."""

    method: BlendMethod = Field(
        "rank-gaussian",
        description="Each member is ranked and gaussianised per era, then averaged: with equal weights "
        "(rank-gaussian), or with weights that each era takes from the eras known before it: exponential in the recent "
        "payout, proportional to its positive part (recent-mean), of most payout by two measures, where both confirm "
        "it (payout), or by least squares (stack).",
    )
    models: list[str] = Field(
        default_factory=list, description="Members that are blended. Empty: all that are trained."
    )
    half_life: float = Field(
        52, gt=0, le=10_000, description="Weights that are learnt: weeks after which an era counts half."
    )
    equal_share: float = Field(
        0.5, ge=0, le=1, description="Weights that are learnt: share of equal weights that is mixed in."
    )
    most_weight: float = Field(
        0.5, gt=0, le=1, description="Weights that are learnt: no member weighs more, or than twice its equal share."
    )
    warm_up: int = Field(
        52, ge=1, le=10_000, description="Weights that are learnt: with fewer known eras before it an era is equal."
    )
    neutralise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the blend's linear exposure to features that is taken out of it, per era.",
    )
    neutralise_features: str = Field(
        "", description="Neutralise to this set of features.json. Empty: to all features of the run."
    )
    try_neutralise: bool = Field(
        True,
        description="Show in the backtest what neutralising 0, 25, 50, 75 and 100 % would be worth, out of fold. Left "
        "out by itself where it would take too long.",
    )
