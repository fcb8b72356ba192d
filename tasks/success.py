"""The end of a run that ended well: a message, where one is wanted, and the dead man's switch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.logging.loggers import flow_run_logger

from eraflow.disk.jsonobject import read_object
from eraflow.runs.outcome import ALREADY, WORDS, outcome_of
from eraflow.settings.alert import AlertSettings
from eraflow.settings.run import RunSettings
from tasks.alert import alert_places, deliver, folder_of
from tasks.ping import ping

FILED = (WORDS["submitted"], ALREADY, WORDS["kept"])


def tell_of_success(flow: Any, flow_run: Any, state: Any) -> None:
    """Flow hook for completed runs."""
    folder = folder_of(flow_run)
    if folder is None:
        return
    logger, alert = flow_run_logger(flow_run, flow), _alert_of(flow_run)
    outcome, record = outcome_of(folder), read_object(folder / "record.json") or {}
    if outcome.words in FILED:
        ping(alert.ping_url, logger)
    if alert.on_success and alert.block is None:
        logger.warning("alert: alert.on_success is set and alert.block is not, so nobody is told")
    elif alert.on_success and alert.block is not None:
        body = "\n".join([*week_in_words(record, outcome.sandbox), *alert_places(flow_run, folder)])
        deliver(flow_run, logger, alert.block, f"Eraflow {outcome.name}", body)


def _alert_of(flow_run: Any) -> AlertSettings:
    given = flow_run.parameters.get("settings") or {}
    return given.alert if isinstance(given, RunSettings) else RunSettings.model_validate(given).alert


def week_in_words(record: Mapping[str, Any], sandbox: bool) -> list[str]:
    """What was achieved and what was sent, a line each."""
    lines = ["a sandbox: nothing of this went to Numerai"] if sandbox else []
    blend = (record.get("scores") or {}).get("blend") or {}
    if blend:
        corr = blend["corr"]
        lines.append(f"CORR {_figure(corr['mean'])} ({_figure(corr['low'])} to {_figure(corr['high'])}), out of fold")
        others = {"payout": "payout of an era", "mmc": "MMC", "bmc": "BMC"}
        lines += [f"{words} {_figure(blend[name]['mean'])}" for name, words in others.items() if name in blend]
    lines += [f"went on without {name}: {lost['problem']}" for name, lost in record.get("lost_models", {}).items()]
    return [*lines, *_sent(record.get("submission") or {})]


def _sent(submission: Mapping[str, Any]) -> list[str]:
    state, file = submission.get("state"), submission.get("file") or {}
    if not file:
        return []
    name = f"{Path(str(file.get('path'))).name}, sha256 {str(file.get('sha256'))[:12]}"
    if submission.get("kept"):
        return [f"not sent: another submission, {submission['kept'].get('id')}, is filed and was kept; {name}"]
    if state is None:
        return [f"ready and not sent (dry run): {name}"]
    verb = "filed before, nothing was sent again" if state.get("already") else "sent"
    return [f"{verb}: submission {state.get('id')}, {state.get('status')}; {name}"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
