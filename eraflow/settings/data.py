"""Which data a run learns from, and what it predicts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from eraflow.disk.plainnames import is_plain_name
from eraflow.settings.features import with_files_read
from eraflow.settings.section import Section

MOST_HIDDEN = 65_536


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
    code: Literal["none", "vae"] = Field(
        "none",
        description="vae: a latent code of the features, learnt by a variational autoencoder on the training eras of "
        "each window, in five levels like the features; needs the extra networks. none: the features as they are.",
    )
    code_use: Literal["beside", "instead"] = Field(
        "beside", description="Models learn from features and code, or from the code instead of the features."
    )
    code_size: int = Field(32, ge=1, le=1024, description="Numbers in the code.")
    code_hidden: list[int] = Field(
        default_factory=lambda: [256],
        min_length=1,
        max_length=8,
        description="Sizes of the encoder's hidden layers; the decoder has them in reverse.",
    )
    code_updates: int = Field(400, ge=1, le=1_000_000, description="Updates of the autoencoder, of 1,024 rows each.")
    code_beta: float = Field(
        0.5,
        ge=0,
        description="Weight of the code's divergence from a standard normal; 1 is the evidence bound with unit noise. "
        "Less tells more of the features, too much makes the code collapse, which is named.",
    )
    code_warmup: float = Field(
        0.3, ge=0, le=1, description="Share of the updates over which that weight rises from zero."
    )

    @field_validator("version")
    @classmethod
    def _is_a_folder_name(cls, value: str) -> str:
        if not is_plain_name(value):
            raise ValueError(f"a version is called as Numerai lists it, such as v5.3; found {value[:60]!r}")
        return value

    @field_validator("code_hidden")
    @classmethod
    def _sizes_are_usable(cls, sizes: list[int]) -> list[int]:
        if not all(1 <= size <= MOST_HIDDEN for size in sizes):
            raise ValueError(f"code_hidden holds whole numbers from 1 to {MOST_HIDDEN:,}, for example [256]")
        return sizes

    @field_validator("features", mode="before")
    @classmethod
    def _files_are_read(cls, value: Any) -> Any:
        return with_files_read(value)
