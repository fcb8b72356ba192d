"""The walk-forward windows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eraflow.settings.section import Section


class WindowSettings(Section):
    """The walk-forward windows on which every model is judged."""

    kind: Literal["expanding", "sliding"] = Field("expanding", description="Grow the training eras, or slide them.")
    folds: int = Field(5, ge=1, le=50, description="How many windows.")
    first_test_fraction: float = Field(
        0.4,
        gt=0.05,
        lt=0.95,
        description="No era before this fraction of the resolved ones is judged. The first judged one lies there or up "
        "to about a window later, where a window begins: windows stay where they are when another week comes.",
    )
    train_eras: int | None = Field(None, ge=10, description="Training eras of a sliding window.")
    purge_weeks: int | None = Field(
        None, ge=1, description="Weeks left out between training and judging. Empty: 8 (20 days) or 16 (60 days)."
    )
