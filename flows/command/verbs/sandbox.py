"""`eraflow sandbox serve`: the stand-in for Numerai, in the foreground."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record, tell


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
    _add_season(inner)


def _add_season(inner: Any) -> None:
    parser = inner.add_parser(
        "season",
        help="play weeks of a season in one go, and tell what came of them",
        description="Play a season on generated data at a small size, with the real flows: the data grow weekly, live "
        "scores come late and are revised, a round is missed, the data version and the round's target change, a "
        "feature breaks, and a member loses its skill. Killed at any moment and given again, it goes on where it was.",
    )
    parser.add_argument("--weeks", type=int, default=26, metavar="N", help="how many weeks (default 26)")
    parser.add_argument("--seed", type=int, default=3, metavar="N", help="of the world (default 3)")
    parser.add_argument("--out", metavar="DIR", help="folder of the season (default: HOME/sandbox/season)")
    parser.add_argument("--home", metavar="DIR", help="home folder in which the season lies, where --out is not given")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting of the participant")
    add_json(parser)
    parser.set_defaults(verb=season)


def season(arguments: argparse.Namespace) -> int:
    """Play the season, write its page and print the summary; returns the exit code.

    Raises:
        SettingsError: a number of weeks that is no season, or an unknown setting.
    """
    from eraflow.disk.home import home_folder
    from eraflow.sandbox.season import open_season
    from flows.command.starting.season import play
    from flows.command.starting.seasonpage import season_parts, season_record, write_page

    if not 2 <= arguments.weeks <= 520:
        raise SettingsError(f"--weeks {arguments.weeks} is no season", "give 2 to 520 weeks")
    out = arguments.out or home_folder(arguments.home) / "sandbox" / "season"
    played = open_season(Path(out).expanduser().resolve(), arguments.weeks, arguments.seed)
    play(played, arguments.set, tell)
    page = write_page(played)
    if arguments.json:
        print_record(season_record(played, page))
    else:
        from flows.command.terminal.printing import show

        show(season_parts(played, page))
    return 0


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
