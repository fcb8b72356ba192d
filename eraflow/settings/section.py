"""The base of every group of settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. Unknown names are refused, so that a misspelt setting cannot be silently ignored."""

    model_config = ConfigDict(extra="forbid", validate_default=True, frozen=True)
