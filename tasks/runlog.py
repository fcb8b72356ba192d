"""The log of the run at work; outside of a flow, as under `eraflow submit`, an ordinary one."""

from __future__ import annotations

import logging
from typing import Any

from prefect import get_run_logger
from prefect.exceptions import MissingContextError


def run_log() -> Any:
    """What takes the lines of whoever may work within a flow or without one."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("eraflow")
