"""`eraflow go-live`: a person switches the schedules on, once everything that a week needs is there."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.disk.atomic import write_json
from eraflow.disk.home import home_folder, home_option
from eraflow.disk.jsonobject import read_object
from eraflow.errors import SettingsError
from eraflow.settings.profiles import PROFILES
from flows.command.doctor.examine import Finding, tell_findings
from flows.command.prefectserver.environment import prepare
from flows.command.terminal.interrupts import heed_ctrl_c
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, say, tell
from flows.command.verbs.alert import DEFAULT_NAME, address, require_server
from flows.command.verbs.golive_choices import Choices

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

ROOT = Path(__file__).resolve().parents[3]
KEYS_BLOCK = "numerai-keys"
CHOSEN = "golive.json"
SCHEDULER_SECONDS = 90.0  # it looks at new schedules every few seconds, at all of them every minute


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "go-live",
        help="switch the weekly and daily schedules on, after checking everything a week needs",
        description="Ask for the model slot, the keys and the alert (or take them from the options), check everything "
        "that a week needs, send a test alert, store the choices as parameters of the deployments, and switch their "
        "schedules on. Where a week would fail nothing is switched on, and the exit code is 1.",
    )
    verb.add_argument("--model", metavar="SLOT", help="Numerai model slot")
    verb.add_argument("--keys-block", metavar="NAME", help=f"Secret block with the keys (usually {KEYS_BLOCK})")
    verb.add_argument("--profile", choices=sorted(PROFILES), help="default: what the deployments say (laptop)")
    told = verb.add_mutually_exclusive_group()
    told.add_argument("--alert", metavar="BLOCK", help="notification block, as type/name")
    told.add_argument(
        "--webhook", metavar="URL", help="make a notification block of this address; - reads it from stdin"
    )
    verb.add_argument("--on-success", action="store_true", help="also send a message after each good run")
    verb.add_argument("--ping", metavar="BLOCK", help="dead man's switch: secret/NAME, whose address is called")
    verb.add_argument("--yes", action="store_true", help="ask nothing")
    verb.add_argument("--pause", action="store_true", help="switch the schedules off, and do nothing else")
    verb.add_argument("--api", metavar="URL", help="ask a sandbox about keys and slot instead of Numerai")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    add_json(verb)
    verb.set_defaults(verb=go_live)


def go_live(arguments: argparse.Namespace) -> int:
    """Deploy where needed, ask, check, store, switch on; returns 0, or 1 where a week would fail.

    Raises:
        PrefectUnreachableError: the server of this home does not run.
        SettingsError: something is needed that nobody can be asked for.
        DeployError: the deployments cannot be made.
    """
    home = home_folder(arguments.home)
    tell(f"asking the Prefect server of {home}")
    require_server(prepare(home), f"eraflow server{home_option(home)}")
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return _pause(client, arguments) if arguments.pause else _go_live(client, home, arguments)


def _pause(client: SyncPrefectClient, arguments: argparse.Namespace) -> int:
    from tasks.golive import scheduled_deployments, switch_off

    found = scheduled_deployments(client)
    switch_off(client, list(found.values()))
    told = f"switched off: {', '.join(sorted(found))}" if found else "nothing is deployed, so nothing was on"
    _tell(arguments, {"live": False, "schedules": dict.fromkeys(found)}, told)
    return 0


def _go_live(client: SyncPrefectClient, home: Path, arguments: argparse.Namespace) -> int:
    from eraflow.settings.run import merge
    from flows.command.verbs.golive_checks import examine_week
    from tasks.golive import scheduled_deployments, switch_on, switched_on
    from tasks.recovery.deadruns import close_dead_runs
    from tasks.recovery.heartbeats import install

    close_dead_runs(client, home)
    _deploy(client)
    deployments = scheduled_deployments(client)
    deployed = dict((deployments["weekly"].parameters or {}).get("settings") or {})
    chosen = choose(arguments, merge(deployed, read_object(home / CHOSEN) or {}))
    write_json(home / CHOSEN, chosen.to_remember(arguments.profile))  # for the next call, also after a new deployment
    install(client)
    checks = tell_findings(examine_week(home, chosen, arguments.api), as_json=arguments.json)
    record: dict[str, Any] = {"choices": asdict(chosen), "checks": [asdict(check) for check in checks]}
    failed = [check.name for check in checks if check.state == "failed"]
    if failed:
        told = f"Nothing was switched on: {', '.join(failed)}. Correct that, then `eraflow go-live` again."
        if any(switched_on(one) for one in deployments.values()):
            told += " What was on before stays on as it was: `eraflow go-live --pause` switches it off."
        _tell(arguments, {"live": False, **record}, f"\n{told}")
        return 1
    if not arguments.yes and not _confirmed():
        _tell(arguments, {"live": False, **record}, "Nothing was switched on.")
        return 1
    named_home = str(home) if arguments.home or home_option(home) else None
    switch_on(client, list(deployments.values()), chosen.as_settings(named_home))
    on = _scheduled(client)
    lines = [*(check.line() for check in on), "", "The schedules are on. `eraflow go-live --pause` switches them off."]
    record["schedules"] = {check.name.removeprefix("schedule "): check.found for check in on}
    _tell(arguments, {"live": True, **record}, "\n".join(lines))
    return 0 if all(check.state == "ok" for check in on) else 1


def _deploy(client: SyncPrefectClient) -> None:
    """Make the deployments that are missing, with their schedules off."""
    from tasks.golive import SCHEDULED, deploy_missing, scheduled_deployments

    if set(SCHEDULED) - scheduled_deployments(client).keys():
        tell("making the deployments, which takes half a minute")
    made = deploy_missing(client, ROOT)
    if made:
        tell(f"deployed, with their schedules off: {', '.join(made)}")


def _scheduled(client: SyncPrefectClient) -> list[Finding]:
    """Whether the server really schedules runs, which it does some seconds later."""
    from flows.command.doctor.examine_prefect import schedule
    from tasks.golive import scheduled_deployments

    deadline = time.monotonic() + SCHEDULER_SECONDS
    while True:
        found = [schedule(client, one) for _, one in sorted(scheduled_deployments(client).items())]
        if all(check.state == "ok" for check in found) or time.monotonic() >= deadline:
            return found
        time.sleep(1)


def choose(arguments: argparse.Namespace, stored: dict[str, Any]) -> Choices:
    """What the options say, then what the person answers, then what the deployment has stored.

    Raises:
        SettingsError: nobody can be asked, and --yes was not said.
    """
    asks = not arguments.yes
    if asks and not sys.stdin.isatty():
        raise SettingsError("go-live asks, and there is no terminal", "say --yes, with --model, --keys-block, --alert")
    told, submit = stored.get("alert") or {}, stored.get("submit") or {}
    source = stored.get("source") or {}
    profile = arguments.profile or stored.get("profile") or "laptop"
    keys_block = arguments.keys_block or source.get("keys_block") or KEYS_BLOCK
    model = arguments.model or submit.get("model")
    if asks and profile != "sandbox":
        keys_block = _keys(keys_block, asked=arguments.keys_block is None)
        if arguments.model is None:
            model = _ask("Model slot at Numerai (empty: the only one of the account)", model)
    return Choices(
        profile=profile,
        model=model,
        keys_block=keys_block,
        only_block=arguments.keys_block is not None,
        alert=_alert(arguments, told.get("block"), asks=asks),
        on_success=arguments.on_success or bool(told.get("on_success")),
        ping=arguments.ping or told.get("ping_url"),
    )


def _alert(arguments: argparse.Namespace, stored: str | None, *, asks: bool) -> str | None:
    """The notification block: named, made of an address, or the one that was stored."""
    given = arguments.webhook
    if arguments.alert or (given is None and (stored or not asks)):
        return arguments.alert or stored
    from tasks.alertblock import save_webhook, saved_webhook

    if given is None:
        there = saved_webhook(DEFAULT_NAME)  # of `eraflow alert`: who has made it believes that it is used
        without = f"the block {there}" if there else "nobody is told"
        given = _ask(f"Webhook address for alerts, as of Slack or Discord (empty: {without})", None, hidden=True)
        if not given:
            return there
    if not given:
        return None
    return save_webhook(address(given), DEFAULT_NAME)


def _keys(block: str, *, asked: bool) -> str:
    """The Secret block, with the keys that the person types: where there are none yet, or to correct those it holds."""
    from eraflow.numerai.keys import keys_in
    from tasks.keys import keys_if_any

    if not asked or keys_in(os.environ) is not None:
        return block
    there = keys_if_any(block, {}) is not None
    if not there:
        tell("There are no Numerai keys yet (numer.ai, Account, API keys; scope: upload submissions).")
    public = _ask(f"Public id of the key{f' (empty: the keys in the Secret block {block})' if there else ''}", None)
    secret = _ask("Secret key", None, hidden=True) if public or not there else None
    if public and secret:
        from prefect.blocks.system import Secret

        Secret(value={"PUBLIC_ID": public, "SECRET_KEY": secret}).save(block, overwrite=True)
        tell(f"kept in the Secret block {block}, encrypted")
    return block


def _ask(question: str, default: str | None, *, hidden: bool = False) -> str | None:
    read: Callable[[str], str] = getpass.getpass if hidden else input
    heed_ctrl_c()
    answer = read(f"{question}{f' [{default}]' if default else ''}: ").strip()
    return answer or default


def _confirmed() -> bool:
    return (_ask("Switch the schedules on? yes or no", "no") or "").lower() in ("y", "yes")


def _tell(arguments: argparse.Namespace, record: dict[str, Any], text: str) -> None:
    if arguments.json:
        print_record(record)
    else:
        say(text)
