"""Where MLflow keeps its records."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from eraflow.settings.section import Section


class TrackingSettings(Section):
    """MLflow."""

    enabled: bool = Field(True, description="Record runs and register the shipped ensemble in MLflow.")
    uri: str | None = Field(None, description="Tracking server. Empty: an SQLite file in the home folder.")
    experiment: str = Field("eraflow", description="MLflow experiment.")
    registered_model: str = Field("eraflow-ensemble", description="Name in the model registry.")

    @field_validator("uri")
    @classmethod
    def _holds_no_password(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).password:
            raise ValueError(
                "the address holds a password, which would be written into logs: leave it out and set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return value
