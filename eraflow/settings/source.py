"""Where the tournament is, and what the embedded sandbox generates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from eraflow.settings.bounds import DAY_SECONDS
from eraflow.settings.section import Section


class SourceSettings(Section):
    """Where the tournament is: Numerai itself, or a sandbox that speaks the same protocol."""

    kind: Literal["numerai", "sandbox"] = Field("numerai", description="Numerai, or the embedded sandbox.")
    data_dir: str | None = Field(
        None, description="A folder in tournament layout for the sandbox to serve. Empty: it generates data."
    )
    url: str | None = Field(
        None, description="Address of a sandbox that already runs (eraflow sandbox serve). Empty: one is started."
    )
    keys_block: str = Field(
        "numerai-keys",
        description="Prefect Secret block with PUBLIC_ID and SECRET_KEY, used when NUMERAI_PUBLIC_ID and "
        "NUMERAI_SECRET_KEY are not in the environment.",
    )
    call_seconds: float = Field(30, gt=0, le=DAY_SECONDS, description="Deadline of one API call.")
    transfer_seconds: float = Field(3600, gt=0, le=7 * DAY_SECONDS, description="Deadline of one download or upload.")
    attempts: int = Field(5, ge=1, le=20, description="Attempts of a call that fails for a passing reason.")

    @model_validator(mode="after")
    def _own_data_never_goes_to_numerai(self) -> SourceSettings:
        if self.kind == "numerai" and (self.data_dir or self.url):
            raise ValueError("data_dir and url belong to a sandbox: set source.kind=sandbox, or leave them out")
        return self


class SandboxSettings(Section):
    """Size and truth of the data that the embedded sandbox generates."""

    train_eras: int = Field(280, ge=20, le=5000, description="Eras in train.parquet.")
    validation_eras: int = Field(120, ge=10, le=5000, description="Eras in validation.parquet.")
    rows_per_era: int = Field(400, ge=20, le=10000, description="Rows of an era.")
    features: int = Field(60, ge=12, le=5000, description="Feature columns.")
    signal: float = Field(1.0, ge=0, le=10, description="Strength of the planted signal; 0 plants none.")
    seed: int = Field(1, ge=0, description="Seed of the generated data.")
