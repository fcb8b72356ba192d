"""What the tournament pays for, as the score by which models are compared."""

from __future__ import annotations

from pydantic import Field

from eraflow.settings.section import Section


class PayoutSettings(Section):
    """Payout as a score: per era a multiple of CORR plus a multiple of MMC, cut on both sides."""

    multipliers: dict[str, float] | None = Field(
        None, description="For example corr 3 and mmc 15. Empty: those of the round."
    )
    clip: float | None = Field(
        None, gt=0, le=1000, description="An era pays and loses at most this. Empty: what the round says."
    )
