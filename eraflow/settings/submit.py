"""Waiting for the round, and what is sent in it."""

from __future__ import annotations

from pydantic import Field

from eraflow.settings.bounds import DAY_SECONDS, YEAR_MINUTES
from eraflow.settings.section import Section


class RoundSettings(Section):
    """Waiting for the round to open. Opening times drift, so it is polled."""

    wait_minutes: float = Field(
        360, ge=0, le=YEAR_MINUTES, description="Give up when no round is open after this time."
    )
    poll_seconds: float = Field(60, gt=0, le=DAY_SECONDS, description="Time between two looks.")


class SubmitSettings(Section):
    """What is sent, and for which model."""

    model: str | None = Field(
        None, title="Model slot", description="Numerai model slot. Empty: the only one of the account."
    )
    dry_run: bool = Field(False, description="Stop before anything is sent.")
    replace: bool = Field(
        False,
        description="Send although another submission is filed for this slot and round already; the newest counts "
        "until the round closes. Otherwise what is filed is kept.",
    )
    confirm_minutes: float = Field(
        10, gt=0, le=YEAR_MINUTES, description="How long to wait for Numerai to accept the upload."
    )
