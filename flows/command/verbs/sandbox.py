"""`eraflow sandbox serve`: the stand-in for Numerai, in the foreground."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser("sandbox", help="a local server that speaks Numerai's protocol")
    inner = verb.add_subparsers(title="verbs", required=True, metavar="VERB")
    parser = inner.add_parser("serve", help="serve generated or given data until Ctrl-C")
    parser.add_argument("--data", metavar="DIR", help="a folder in tournament layout (default: data is generated)")
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1 (default 8765; 0 chooses a free one)")
    parser.add_argument("--version", default="v5.3", help="data version under which the files are listed")
    parser.add_argument("--home", metavar="DIR", help="where generated data and state are kept")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="size of generated data, for example sandbox.train_eras=100",
    )
    parser.add_argument(
        "--fault",
        metavar="NAME=COUNT",
        action="append",
        default=[],
        help="what the server does wrong, and how often, for example server_500=3; an unknown name lists them all",
    )
    parser.set_defaults(verb=serve)


def serve(arguments: argparse.Namespace) -> int:
    """Serve a given folder, or generate one first; ends with Ctrl-C.

    Raises:
        SettingsError: a fault that there is not, or no whole number for it.
    """
    from eraflow.disk.home import make_home
    from eraflow.rehearsal.environment import rehearsal_folder
    from eraflow.sandbox.generate import generate
    from eraflow.sandbox.process import serve as serve_sandbox
    from eraflow.settings.override import settings_from

    faults = _faults(arguments.fault)
    settings = settings_from("sandbox", {"home": arguments.home or ""}, arguments.set)
    make_home(settings.home_path)
    home = settings.home_path / "sandbox" / "served"
    if arguments.data:
        folder = Path(arguments.data).expanduser().resolve()
    else:
        folder = generate(home / "data", settings.sandbox, version=arguments.version)
    return serve_sandbox(
        folder,
        home / "state",
        port=arguments.port,
        version=arguments.version,
        faults=faults,
        rehearsals=rehearsal_folder(settings.home_path),
    )


def _faults(given: Sequence[str]) -> dict[str, int]:
    """`NAME=COUNT` as numbers by name."""
    from eraflow.sandbox.faults import Faults

    counts: dict[str, int] = {}
    for text in given:
        name, _, count = text.partition("=")
        if name not in Faults.names() or not count.removeprefix("-").isdecimal():
            raise SettingsError(f"{text!r} is no NAME=COUNT of a fault", f"the faults are {', '.join(Faults.names())}")
        counts[name] = int(count)
    return counts
