"""When a challenger takes the champion's place. The rates are in ARCHITECTURE.md, "Champion and challenger"."""

from __future__ import annotations

from pydantic import Field

from eraflow.settings.section import Section


class ContestSettings(Section):
    """The rule by which a challenger is promoted, the same for the way back."""

    confidence: float = Field(
        0.994,
        gt=0.5,
        lt=1,
        description="One-sided confidence of the lower bound of the challenger's mean CORR less the champion's, on "
        "their common out-of-fold eras.",
    )
    margin: float = Field(0.0, ge=-1, le=1, description="The bound must lie above this.")
    weeks: int = Field(
        8,
        ge=1,
        le=200,
        description="In so many successive weeks. With the defaults an equal one is promoted in at "
        "most 5 of 100 years of weekly looks.",
    )
    shadow_confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="Not where the rounds that it was predicted in beside the champion, once resolved, are "
        "significantly worse at this one-sided confidence.",
    )
