"""What must hold before a schedule is switched on: doctor's checks, and keys and slot for certain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from eraflow.errors import EraflowError
from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.keys import no_keys
from flows.command.doctor.examination import examine_computer
from flows.command.doctor.examine import Finding
from flows.command.doctor.examine_prefect import examine_prefect
from flows.command.doctor.examine_tournament import API_SECONDS, clock
from flows.command.verbs.golive_choices import Choices

CREATE = (
    "create a key at numer.ai (Account, API keys) and save the Secret block {0} with PUBLIC_ID and SECRET_KEY: without "
    "--yes and --keys-block this command asks for both"
)
HERE_ONLY = "a worker that was started elsewhere does not have them"


def examine_week(home: Path, chosen: Choices, api: str | None) -> Iterator[Finding]:
    """All checks; a week would fail where one has failed. The alert block gets a test message.

    Args:
        home: the home folder.
        chosen: what the person decided.
        api: address of a sandbox instead of Numerai.
    """
    yield from examine_computer(home, [])
    checks, _ = examine_prefect(chosen.alert)
    yield from (check for check in checks if not check.name.startswith("schedule "))
    if chosen.profile == "sandbox":
        yield Finding("numerai keys", "ok", "the profile sandbox needs none, and sends nothing to Numerai")
        return
    yield from keys_and_slot(chosen, api)
    yield clock(api)


def keys_and_slot(chosen: Choices, api: str | None) -> Iterator[Finding]:
    """Whether the keys are there, are accepted, and belong to an account with the slot."""
    from tasks.keys import keys_if_any

    pair = keys_if_any(chosen.keys_block, {} if chosen.only_block else os.environ)
    if pair is None:
        yield Finding("numerai keys", "failed", no_keys(chosen.keys_block).problem, CREATE.format(chosen.keys_block))
        return
    in_block = keys_if_any(chosen.keys_block, {}) is not None
    found = f"in the Secret block {chosen.keys_block}" if in_block else "in this shell's environment only"
    remedy = "" if in_block else f"{HERE_ONLY}: save the Secret block {chosen.keys_block}, or set them there too"
    yield Finding("numerai keys", "ok" if in_block else "warning", found, remedy)
    try:
        models = Tournament(Endpoint(api, *pair), call_seconds=API_SECONDS, attempts=1).models()
    except EraflowError as error:
        yield Finding("keys online", "failed", error.problem.replace(pair[1], "***"), error.remedy)
        return
    yield Finding("keys online", "ok", f"accepted; {len(models)} models")
    yield slot(chosen.model, sorted(models))


def slot(model: str | None, models: list[str]) -> Finding:
    """Whether it is certain which slot a submission goes to."""
    shown = ", ".join(models[:5]) or "none"
    if model is not None:
        good, found = model in models, f"{model}" if model in models else f"the account has no {model}; it has {shown}"
    else:
        good, found = len(models) == 1, f"the only one: {shown}" if len(models) == 1 else f"several or none: {shown}"
    return (
        Finding("model slot", "ok", found) if good else Finding("model slot", "failed", found, "name one with --model")
    )
