"""Where MLflow keeps its records."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from eraflow.settings.section import Section

STORES = ("s3", "gs")
"""Schemes of the stores beside folders: Amazon's S3 and what speaks its protocol, Google's Cloud Storage."""


class TrackingSettings(Section):
    """MLflow."""

    enabled: bool = Field(True, description="Record runs and register the shipped ensemble in MLflow.")
    uri: str | None = Field(None, description="Tracking server. Empty: an SQLite file in the home folder.")
    artifacts: str | None = Field(
        None,
        description="Where the files of runs and registered models are kept: a folder, s3://BUCKET/PATH or "
        "gs://BUCKET/PATH; keys are read from the environment. Empty: the home folder, or what the tracking server "
        "says.",
    )
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

    @field_validator("artifacts")
    @classmethod
    def _is_a_root(cls, value: str | None) -> str | None:
        return None if value is None or not value.strip() else artifact_root(value.strip())


def artifact_root(text: str) -> str:
    """The address of an artifact root, without a slash at its end.

    Args:
        text: a folder, absolute or in the user's own, or `file://`, `s3://` or `gs://` with a bucket.

    Raises:
        ValueError: it is none of these, or holds a password.
    """
    found = urlsplit(text)
    if found.scheme in STORES:
        if "@" in found.netloc:
            raise ValueError("the address holds keys, which would be written into logs: set them in the environment")
        if not found.netloc or found.query or found.fragment:
            raise ValueError(f"{text} names no bucket alone: write it like {found.scheme}://BUCKET/PATH")
        return text.rstrip("/")
    if found.scheme not in ("", "file") or (found.scheme and (found.netloc or not text.startswith("file:///"))):
        raise ValueError("write a folder, s3://BUCKET/PATH or gs://BUCKET/PATH")
    folder = Path(text.removeprefix("file://")).expanduser()
    if not folder.is_absolute():
        raise ValueError(f"{text} depends on the current folder: write the whole path, beginning with /")
    return str(folder)
