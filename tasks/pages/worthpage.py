"""What each member is worth to the blend, as people see it in the Prefect UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_markdown_artifact

from eraflow.reports.worthtables import worth_text
from tasks.pages.artifacts import page_key, shown


def show_worth(worth: Mapping[str, Any] | None) -> None:
    """The tables of the members' worth and their correlations; nothing of a single member."""
    text = worth_text(worth)
    if not text:
        return
    shown(
        lambda: create_markdown_artifact(
            text, key=page_key("members-worth"), description="What each member is worth to the blend, out of fold"
        )
    )
