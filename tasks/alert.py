"""One clear message when a week fails, crashes or is held, and no silence when the message itself fails."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, cast

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.logging.loggers import flow_run_logger

from eraflow.disk.home import home_folder
from eraflow.disk.ownership import RUN_FILE
from eraflow.errors import EraflowError
from eraflow.runs.outcome import outcome_of
from eraflow.runs.unfinished import folder_of_flow_run
from eraflow.settings.run import RunSettings
from tasks.pages.links import flow_run_link
from tasks.run import Run

MARKS = {"subject": "mark-of-the-subject", "body": "mark-of-the-body"}
FILL_IN = (
    'set its JSON Data to {"text": "{{subject}}\\n{{body}}"} (Discord takes "content" in place of "text"), or let '
    "`eraflow alert --webhook URL` make one"
)


class AlertError(EraflowError):
    """The notification block is unknown or did not deliver. The run itself is not affected."""

    code = "alert"


def send_alert(block_name: str, subject: str, body: str) -> None:
    """Deliver one message through a notification block; the subject is in it once.

    Args:
        block_name: `type/name`, such as `custom-webhook/alert`.
        subject: one line.
        body: what broke, what was tried, what to do.

    Raises:
        AlertError: the block cannot be loaded, is none that sends messages, says that it delivered nothing, or has
            delivered something that does not hold the text.
    """
    try:
        block: Any = Block.load(block_name)
    except Exception as error:
        raise AlertError(
            f"no notification block {block_name!r} ({type(error).__name__})",
            "save it in the Prefect UI under Blocks, as type/name; `eraflow alert --webhook URL` makes one",
        ) from error
    if not isinstance(block, NotificationBlock):
        raise AlertError(
            f"{block_name} is a block that sends no messages ({type(block).__name__})",
            "name a notification block; `eraflow alert --webhook URL` makes one",
        )
    taken, sender = parts_taken(block), cast("Any", block)
    try:
        with sender.raise_on_failure():  # without it a block that sent nothing returns as if it had
            sender.notify(body if "subject" in taken else f"{subject}\n{body}", subject)
    except Exception as error:  # noqa: BLE001 - every block has errors of its own
        raise AlertError(
            f"{block_name} did not deliver ({type(error).__name__}: {_without_addresses(str(error))})",
            "check the block's address and the network",
        ) from None  # the cause holds the address
    if "body" not in taken:
        raise AlertError(f"{block_name} delivers a message without its text: nothing in it is {{{{body}}}}", FILL_IN)


def parts_taken(block: Any) -> frozenset[str]:
    """What of a message a block sends: `subject`, `body`, both, or nothing.

    A custom webhook sends what its fields hold, and takes only what they name in double braces; Prefect takes one whose
    fields name nothing, and it then sends an empty message for ever.
    """
    everything = frozenset(MARKS)
    if not isinstance(block, CustomWebhookNotificationBlock):
        return everything
    # What would be sent has no public door but sending it; pyproject.toml names one version of Prefect.
    request = block._build_request_args(MARKS["body"], MARKS["subject"])
    text = str(request)
    return frozenset(part for part, mark in MARKS.items() if mark in text)


def _without_addresses(text: str) -> str:
    """An address of a webhook is a secret: whoever knows it can write there."""
    return re.sub(r"\w+://\S+", "(address)", text)


def tell_people(run: Run, subject: str, body: str) -> bool:
    """One message in the middle of a run that goes on; without a block it is only in the log. Whether it was sent."""
    if run.settings.alert.block is None:
        return False
    sandbox = " (sandbox)" if run.settings.source.kind == "sandbox" else ""
    try:
        send_alert(run.settings.alert.block, f"{subject}{sandbox}", body)
    except AlertError as error:
        get_run_logger().error("%s", error)
        return False
    return True


def tell_of_trouble(flow: Any, flow_run: Any, state: Any) -> None:
    """Flow hook for failed, held and crashed runs."""
    logger = flow_run_logger(flow_run, flow)
    block_name = _block_of(flow_run, logger)
    if block_name is None:
        return
    folder = folder_of(flow_run)
    name = f"{flow.name}: {state.name.lower()}"
    if folder is not None:
        name = outcome_of(folder, "crashed" if state.is_crashed() else None).name
    body = "\n".join([state.message or "no message", *alert_places(flow_run, folder)])
    deliver(flow_run, logger, block_name, f"Eraflow {name}", body)


def deliver(flow_run: Any, logger: Any, block_name: str, subject: str, body: str) -> None:
    """Send a message at the end of a run; one that could not be delivered is logged and shown."""
    try:
        send_alert(block_name, subject, body)
        logger.info("alert sent through %s", block_name)
    except AlertError as error:
        logger.error("%s", error)
        _show_failure(flow_run, error)


def alert_places(flow_run: Any, folder: Path | None) -> list[str]:
    """Where there is more to see: the run's page and its folder."""
    page = flow_run_link(flow_run.id)
    return [*([f"run {page}"] if page else []), *([f"folder {folder}"] if folder else [])]


def folder_of(flow_run: Any) -> Path | None:
    """The folder that a flow run works in, if it came as far as having one."""
    given = flow_run.parameters.get("settings") or {}
    values = given.model_dump() if isinstance(given, RunSettings) else given
    if not isinstance(values, dict):
        return None
    try:
        folder = folder_of_flow_run(home_folder(values.get("home")), str(flow_run.id))
    except EraflowError:  # no home: then there is no folder either
        return None
    named = values.get("run_dir")
    return folder or (Path(named) if named and (Path(named) / RUN_FILE).exists() else None)


def _block_of(flow_run: Any, logger: Any) -> str | None:
    """The block that the run's parameters name; read without validation, as wrong settings are a failure to tell of."""
    given = flow_run.parameters.get("settings") or {}
    values = given.model_dump() if isinstance(given, RunSettings) else given
    block = (values.get("alert") or {}).get("block") if isinstance(values, dict) else None
    if block is None:
        logger.warning("alert: alert.block is not set, so nobody is told of this")
    return block


def _show_failure(flow_run: Any, error: AlertError) -> None:
    try:
        create_markdown_artifact(
            f"**An alert could not be delivered.** {error}", key="alert-failed", description=str(flow_run.name)
        )
    except Exception as failure:  # noqa: BLE001 - the log line above has been written; a hook must not raise
        logging.getLogger(__name__).error("the failed alert cannot be shown either: %s", failure)
