"""Who hears of how a run ended."""

from __future__ import annotations

from pydantic import Field, field_validator

from eraflow.settings.section import Section


class AlertSettings(Section):
    """Who hears of trouble."""

    block: str | None = Field(
        None, description="Prefect notification block, as type/name: for example custom-webhook/alert."
    )
    on_success: bool = Field(False, description="Also tell of a run that ended well: round, scores, what was sent.")
    ping_url: str | None = Field(
        None,
        description="A dead man's switch, called with GET after each submission, so that a silent computer is noticed: "
        "secret/NAME, a Secret block that holds the address. Empty: the address in $ERAFLOW_PING_URL, if it is set.",
    )

    @field_validator("ping_url")
    @classmethod
    def _names_a_secret_block(cls, value: str | None) -> str | None:
        if value is not None and not value.removeprefix("secret/"):
            raise ValueError("name a Secret block, as secret/NAME")
        if value is not None and not value.startswith("secret/"):
            raise ValueError(
                "the address is a secret and settings are shown: save it as a Secret block and name that "
                "(secret/NAME), or set ERAFLOW_PING_URL"
            )
        return value
