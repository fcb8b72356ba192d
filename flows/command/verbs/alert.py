"""`eraflow alert`: make a notification block that works, and send a test message through it."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eraflow.disk.home import home_folder, home_option
from flows.command.prefectserver.environment import prepare
from flows.command.prefectserver.runserver import PrefectUnreachableError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, say

DEFAULT_NAME = "alert"


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "alert",
        help="make a notification block that works, and send a test message",
        description="Save a webhook (Slack, Discord, Mattermost, your own server) as a notification block whose "
        "message holds subject and text, and send a test message through it. Or test a block that is there. The "
        "address is kept by the Prefect server of this home alone.",
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--webhook", metavar="URL", help="address of the webhook; - reads it from standard input")
    what.add_argument("--block", metavar="BLOCK", help="test this block (type/name)")
    verb.add_argument("--name", default=DEFAULT_NAME, help=f"name of the new block (default {DEFAULT_NAME})")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    add_json(verb)
    verb.set_defaults(verb=alert)


def alert(arguments: argparse.Namespace) -> int:
    """Save if asked, send, and say how settings name the block.

    Raises:
        PrefectUnreachableError: no server is named, or it does not answer.
        SettingsError: the address or the name is none.
        AlertError: the message was not delivered.
    """
    home = home_folder(arguments.home)
    require_server(prepare(home), f"eraflow server{home_option(home)}")
    from tasks.alert import send_alert
    from tasks.alertblock import save_webhook

    block = arguments.block or save_webhook(address(arguments.webhook), arguments.name)
    send_alert(block, "Eraflow: a test", "A test message of `eraflow alert`. Nothing is wrong.")
    if arguments.json:
        print_record({"block": block, "sent": True})
    else:
        say(f"a test message was sent through {block}; see that it arrived\nuse it with --set alert.block={block}")
    return 0


def address(given: str) -> str:
    """The address that was typed, or the line on standard input, which no history of a shell keeps."""
    return sys.stdin.readline().strip() if given == "-" else given


def require_server(server: str, start: str) -> None:
    """Refuse where no server is named or running, or where it does not answer.

    Raises:
        PrefectUnreachableError: then blocks and schedules have no place.
    """
    if not server:
        raise PrefectUnreachableError(
            "no Prefect server runs for this home", f"start it in another terminal and leave it running: {start}"
        )
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
        if error is not None:
            raise PrefectUnreachableError(
                f"{client.api_url} does not answer ({type(error).__name__})", f"start it ({start}), or correct its name"
            )
