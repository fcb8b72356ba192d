"""Which data a run learns from, and what it predicts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from eraflow.settings.features import with_files_read
from eraflow.settings.section import Section


class DataSettings(Section):
    """Which data a run learns from, and what it predicts."""

    version: str = Field("v5.3", description="Data set version, as in Numerai's list of files.")
    target: str = Field("target_ender_60", description="The target that is trained on and scored.")
    alias_horizon: Literal[20, 60] | None = Field(
        None, description="Only when target is the alias target: the horizon in days that it stands for now."
    )
    features: str | list[str] = Field(
        "medium",
        min_length=1,
        description="What to learn from: a set of features.json (medium), names (feature_a,feature_b), a file "
        "(./mine.txt, ./mine.json), or these added and taken away (medium+rain-feature_a, all-./drop.txt). A file is "
        "read when the settings are; the run keeps its names.",
    )
    benchmark: str | None = Field(
        None, description="Benchmark model for BMC. Empty: the one trained on this target, else the first."
    )
    era_stride: int = Field(1, ge=1, le=16, description="Use every n-th era for training (1 = all).")
    first_era: int | None = Field(None, ge=1, description="Leave out the eras before this one.")

    @field_validator("features", mode="before")
    @classmethod
    def _files_are_read(cls, value: Any) -> Any:
        return with_files_read(value)
