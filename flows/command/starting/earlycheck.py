"""What is refused before a server is started: a run that has to send without keys, params that no learner takes."""

from __future__ import annotations

import os
from pathlib import Path

from eraflow.numerai.keys import MissingKeysError, keys_in, may_hold_block, no_keys
from eraflow.settings.run import RunSettings
from flows.command.prefectserver.runningserver import prefect_folder

DATABASE = "PREFECT_API_DATABASE_CONNECTION_URL"


def refuse_early(flow_name: str, settings: RunSettings, server: str) -> None:
    """Raise what the flow would raise after its server has been started.

    Args:
        flow_name: `weekly`, `daily` or `research`.
        settings: of the run.
        server: words of `prepare` for the server that runs already; empty: one would be started.

    Raises:
        MissingKeysError: it sends to Numerai, and there are no keys.
        ModelSettingsError, AliasTargetError, UnknownHorizonError: a setting is wrong.
    """
    if flow_name != "research" and settings.source.kind == "numerai" and not settings.submit.dry_run:
        _check_keys(settings, server)
    if flow_name != "daily":  # there the champion predicts, and nothing is trained
        from models.training.refusals import refuse_settings

        refuse_settings(settings, _silent)


def _check_keys(settings: RunSettings, server: str) -> None:
    block = settings.source.keys_block
    if keys_in() is not None:
        return
    if server:
        _ask_server(block)
    elif os.environ.get(DATABASE, "sqlite").startswith("sqlite"):
        database = Path(prefect_folder(settings.home_path)) / "prefect.db"
        if not may_hold_block(database, block):
            raise no_keys(block)


def _ask_server(block: str) -> None:
    """Look for the block on the server that runs; one that does not answer is told of by the flow."""
    from tasks.keys import numerai_keys

    try:
        numerai_keys(block)
    except MissingKeysError:
        raise
    except Exception:  # noqa: BLE001 - whatever Prefect raises of a server that is not there, the flow names it
        return


def _silent(_: str) -> None:
    """The log of a check that has nothing to tell."""
