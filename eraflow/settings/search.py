"""How the search for parameters of the models is done."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from eraflow.settings.section import Section


class SearchSettings(Section):
    """The search for parameters: Optuna, on eras before the first judged one, so that the backtest stays honest."""

    models: list[str] = Field(
        default_factory=list,
        description="Names of the models to search for. Empty: all for which there is a search.",
    )
    trials: int = Field(60, ge=1, le=10_000, description="Trials of each model, those of all computers together.")
    hours: float | None = Field(
        None,
        gt=0,
        le=10_000,
        description="No further trial of a model is begun once its trials have taken so long together, "
        "whatever killed the search between them. Empty: until there are as many as `trials` says.",
    )
    before_training: bool = Field(False, description="A weekly run searches before it trains, and uses what it finds.")
    storage: str | None = Field(
        None,
        description="Optuna storage, as an SQLAlchemy address that several computers share, its password in the "
        "environment variable ERAFLOW_SEARCH_PASSWORD. Empty: an SQLite file in the home folder.",
    )
    folds: int = Field(3, ge=2, le=10, description="Purged folds that a trial is judged on.")
    era_stride: int = Field(1, ge=1, le=16, description="Use every n-th era in the search (1 = all).")
    confirm_share: float = Field(
        0.25,
        gt=0.05,
        lt=0.6,
        description="Share of the eras, the newest, that trials never see; the best are re-scored there.",
    )
    finalists: int = Field(3, ge=1, le=20, description="How many of the best trials are re-scored at full fidelity.")
    objective: Literal["corr", "payout"] = Field(
        "corr",
        description="What is maximised: mean CORR, or mean payout, with the multipliers and the cut of the round or "
        "of `payout`, and with BMC in the place of MMC where the meta model does not cover the eras of the search.",
    )
    gap_penalty: float = Field(
        0.02,
        ge=0,
        le=10,
        description="Weight of the penalty on the gap between training and held-out CORR; it rises while the gap "
        "grows, and so do the lower bounds of the regularisers. 0: none of this.",
    )
    prune: bool = Field(True, description="Stop a trial early when it falls behind.")
    patience_minutes: float = Field(
        5, gt=0, le=525_600, description="A trial whose process gave no sign for so long is done again."
    )

    @field_validator("storage")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and "://" not in value:
            raise ValueError("this is no address: write it as dialect://user@host:port/database, or leave it empty")
        return value

    @field_validator("storage")
    @classmethod
    def _holds_no_password(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).password:
            raise ValueError(
                "the address holds a password, which would be written into logs and files: leave it out and set "
                "ERAFLOW_SEARCH_PASSWORD"
            )
        return value
