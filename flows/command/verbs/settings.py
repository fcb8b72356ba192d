"""`eraflow settings`: every setting by name, with what it takes, what each profile sets it to, and what it means."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from eraflow.errors import SettingsError
from eraflow.settings.profiles import PROFILES
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record

NARROWEST, WIDEST = 40, 100
INDENT = "    "
HOW = (
    "Give one with --set NAME=VALUE. Text is taken as it stands (submit.model=1e5); an optional one is emptied by null "
    "or by nothing (alert.block=null), and text in double quotes is read as JSON (submit.model='\"null\"'). Lists of "
    "names have commas between them. NAME in models.NAME is a model's name or its position."
)


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "settings",
        help="every setting: name, type, defaults and meaning",
        description="List the settings that --set, the form in the Prefect UI and prefect.yaml take. " + HOW,
    )
    verb.add_argument("name", metavar="NAME", nargs="?", help="one setting, or a group such as gate or models.NAME")
    verb.add_argument("--profile", choices=sorted(PROFILES), help="show the defaults of this profile alone")
    add_json(verb)
    verb.set_defaults(verb=_settings)


def _settings(arguments: argparse.Namespace) -> int:
    profiles = [arguments.profile] if arguments.profile else list(PROFILES)
    found = chosen(arguments.name)
    if arguments.json:
        print_record({"settings": [_record(setting, profiles) for setting in found]})
    else:
        width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
        print("\n".join(text_of(found, profiles, width)))
    return 0


def chosen(name: str | None) -> list[Any]:
    """The settings of that name, or of the group of that name; all without one.

    Raises:
        SettingsError: there is none; it names those that may have been meant.
    """
    from eraflow.settings.listing import NAME, all_settings, did_you_mean
    from eraflow.settings.writable import shown

    known = all_settings()
    if name is None:
        return list(known.values())
    wanted = name.strip().strip(".")
    parts = wanted.split(".")
    if parts[0] == "models" and len(parts) > 1:
        wanted = ".".join(["models", NAME, *parts[2:3]])  # models.lightgbm.params.n_estimators is one of its params
    found = [one for one in known.values() if one.name == wanted or one.name.startswith(f"{wanted}.")]
    if not found:
        raise SettingsError(f"{shown(name)} is no setting", did_you_mean(name))
    return found


def text_of(found: Sequence[Any], profiles: Sequence[str], width: int) -> list[str]:
    """The lines that a terminal shows, none longer than `width` where words allow it."""
    lines: list[str] = []
    for setting in found:
        lines += [setting.name, *_wrapped([f"{setting.takes}{'; may be empty' if setting.optional else ''}"], width)]
        asked = ["laptop"] if setting.name == "profile" else profiles  # a profile's own name is no default of it
        lines += _wrapped([default_text(setting.defaults, asked)], width)
        lines += [*_wrapped([setting.text], width), ""]
    return [*lines, *textwrap.wrap(HOW, width)]


def default_text(defaults: dict[str, Any], profiles: Sequence[str]) -> str:
    """`default 5 (sandbox 3, workstation 8)`."""
    first = "laptop" if "laptop" in profiles else profiles[0]
    others = [f"{each} {_value(defaults[each])}" for each in profiles if defaults[each] != defaults[first]]
    return f"default {_value(defaults[first])}" + (f" ({', '.join(others)})" if others else "")


def _wrapped(texts: Iterable[str], width: int) -> list[str]:
    lines = [line for text in texts for line in textwrap.wrap(text, width - len(INDENT), break_on_hyphens=False)]
    return [f"{INDENT}{line}" for line in lines]


def _value(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return ",".join(str(one.get("name")) for one in value) or "empty"
    return value if isinstance(value, str) else json.dumps(value)


def _record(setting: Any, profiles: Sequence[str]) -> dict[str, Any]:
    record: dict[str, Any] = setting.as_dict()
    return {**record, "defaults": {profile: setting.defaults[profile] for profile in profiles}}
