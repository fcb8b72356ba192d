"""Alerts of crashes that no hook of a run can send: its computer died, or it was started too often and is given up.

A flow process that is killed while its worker lives is told of by the worker (the flow's own hook). `eraflow resume`
tells of the rest, through the block that the run's parameters name, once for each crash.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from eraflow.disk.atomic import write_json
from tasks.alert import AlertError, send_alert
from tasks.recovery.reconcile import Decision

TOLD = "told.json"
KEPT = 200  # crashes that are remembered; older ones are beyond `max_age_days`


def tell_of_crashes(decisions: Sequence[Decision], folder: Path) -> list[str]:
    """Send what is due and was not sent yet; a message that was not delivered is tried again by the next call.

    Args:
        decisions: of `reconcile`.
        folder: where it is remembered what was sent; exists, and is locked by the caller.

    Returns:
        The errors of messages that did not arrive.
    """
    told, errors = _told(folder), []
    for decision in decisions:
        if not decision.news or decision.block is None or decision.crash_id in told:
            continue
        subject = f"Eraflow {decision.deployment}: crashed, {'goes on' if decision.rescheduled else 'given up'}"
        try:
            send_alert(decision.block, subject, f"run {decision.name}\n{decision.news}")
        except AlertError as error:
            errors.append(str(error))
            continue
        told.append(decision.crash_id)
        write_json(folder / TOLD, told[-KEPT:])
    return errors


def _told(folder: Path) -> list[str]:
    try:
        told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet; a damaged one costs a message sent twice
        return []
    return [str(each) for each in told] if isinstance(told, list) else []
