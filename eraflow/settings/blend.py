"""How the members become one prediction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eraflow.settings.section import Section

BlendMethod = Literal["rank-gaussian"]
"""The rows of `BLENDS` in `models/ensembles/blends.py`, which this room may not import; a test compares."""


class BlendSettings(Section):
    """How the members become one prediction."""

    method: BlendMethod = Field(
        "rank-gaussian", description="Rank and gaussianise each member per era, then average with equal weights."
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
