"""Waiting for the round, and what is sent in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, create_model

from eraflow.settings.bounds import DAY_SECONDS, YEAR_MINUTES
from eraflow.settings.section import Section


class RoundSettings(Section):
    """Waiting for the round to open, and what is done before it closes. Opening times drift, so it is polled."""

    wait_minutes: float = Field(
        720,
        ge=0,
        le=YEAR_MINUTES,
        description="Give up when no round is open after this time; what needs no live file is done before.",
    )
    poll_seconds: float = Field(60, gt=0, le=DAY_SECONDS, description="Time between two looks.")
    insurance_minutes: float | None = Field(
        60,
        gt=0,
        le=YEAR_MINUTES,
        description="When a week has sent nothing this long before its round closes, the champion's prediction is sent "
        "in its place, and replaced when the week's own passes in time. Empty: never.",
    )
    only_insure: bool = Field(
        False,
        description="Of a daily run: wait until insurance_minutes before the round closes, and send the champion's "
        "prediction only where nothing is filed by then.",
    )


PICKLE = "pickle"
PYTHON = r"3\.\d{1,2}"
_AS = Field(
    "csv",
    title="As",
    description="What is sent: the predictions of this round (csv), or the model itself, which Numerai then runs each "
    "round (pickle). A slot takes the one or the other.",
)
# `as` is a word of Python's: such a field can only be made by a call.
if TYPE_CHECKING:
    _Sent = Section
else:
    _Sent = create_model("_Sent", __base__=Section, **{"as": (Literal["csv", "pickle"], _AS)})


class SubmitSettings(_Sent):
    """What is sent, and for which model."""

    @property
    def sends_model(self) -> bool:
        """Whether the model itself is sent, and not its predictions."""
        return bool(getattr(self, "as") == PICKLE)

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
    python: str | None = Field(
        None,
        pattern=f"^{PYTHON}$",
        description="Python of Numerai's image that is to run an uploaded model, such as 3.12. Empty: the Python that "
        "this runs under.",
    )
    model_minutes: float = Field(
        60,
        gt=0,
        le=YEAR_MINUTES,
        description="How long to wait for Numerai to validate an uploaded model, and again for its run.",
    )
    diagnostics_minutes: float = Field(
        0,
        ge=0,
        le=YEAR_MINUTES,
        description="How long to wait for the diagnostics of an uploaded model. They are looked at again by each "
        "`eraflow daily`.",
    )
    keep_models: int = Field(
        4, ge=2, le=1000, description="How many uploaded models of a slot are kept in the home, to be restored."
    )
