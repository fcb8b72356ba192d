"""One clear message when a week fails, crashes or is held, and no silence when the message itself fails."""

from __future__ import annotations

import logging
import re
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.core import Block
from prefect.logging.loggers import flow_run_logger

from eraflow.errors import EraflowError
from eraflow.settings import RunSettings
from tasks.run import Run


class AlertError(EraflowError):
    """The notification block is unknown or did not deliver. The run itself is not affected."""

    code = "alert"


def send(block_name: str, subject: str, body: str) -> None:
    """Deliver one message through a notification block.

    Args:
        block_name: `type/name`, such as `custom-webhook/alert`.
        subject: one line.
        body: what broke, what was tried, what to do.

    Raises:
        AlertError: the block cannot be loaded, or says that it delivered nothing.
    """
    try:
        block: Any = Block.load(block_name)
    except Exception as error:
        raise AlertError(
            f"no notification block {block_name!r} ({type(error).__name__})",
            "save it in the Prefect UI under Blocks, as type/name",
        ) from error
    try:
        with block.raise_on_failure():  # without it a block that sent nothing returns as if it had
            block.notify(body, subject)
    except Exception as error:  # noqa: BLE001 - every block has errors of its own
        raise AlertError(
            f"{block_name} did not deliver ({type(error).__name__}: {_without_addresses(str(error))})",
            "check the block's address and the network",
        ) from None  # the cause holds the address


def _without_addresses(text: str) -> str:
    """An address of a webhook is a secret: whoever knows it can write there."""
    return re.sub(r"\w+://\S+", "(address)", text)


def tell(run: Run, subject: str, body: str) -> None:
    """One message in the middle of a run that goes on; without a block it is only in the log."""
    if run.settings.alert.block is None:
        return
    try:
        send(run.settings.alert.block, subject, body)
    except AlertError as error:
        get_run_logger().error("%s", error)


def tell_of_trouble(flow: Any, flow_run: Any, state: Any) -> None:
    """Flow hook for failed, held and crashed runs."""
    logger = flow_run_logger(flow_run, flow)
    block_name = _block_of(flow_run, logger)
    if block_name is None:
        return
    subject = f"Eraflow {flow.name}: {state.name.lower()}"
    body = f"{subject}\nrun {flow_run.name}\n{state.message or 'no message'}"
    try:
        send(block_name, subject, body)
        logger.info("alert sent through %s", block_name)
    except AlertError as error:
        logger.error("%s", error)
        _show_failure(flow_run, error)


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
