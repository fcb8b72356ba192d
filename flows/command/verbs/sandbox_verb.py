"""`eraflow sandbox serve`: the stand-in for Numerai, in the foreground."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from eraflow.disk.home import make_home
from eraflow.errors import SettingsError
from eraflow.sandbox.faults import Faults
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import serve as serve_sandbox
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings


def serve(arguments: argparse.Namespace) -> int:
    """Serve a given folder, or generate one first; ends with Ctrl-C.

    Raises:
        SettingsError: a fault that there is not, or no whole number for it.
    """
    faults = _faults(arguments.fault)
    settings: RunSettings = settings_from("sandbox", {"home": arguments.home or ""}, arguments.set)
    make_home(settings.home_path)
    home = settings.home_path / "sandbox" / "served"
    if arguments.data:
        folder = Path(arguments.data).expanduser().resolve()
    else:
        folder = generate(home / "data", settings.sandbox, version=arguments.version)
    return serve_sandbox(folder, home / "state", port=arguments.port, version=arguments.version, faults=faults)


def _faults(given: Sequence[str]) -> dict[str, int]:
    """`NAME=COUNT` as numbers by name."""
    counts: dict[str, int] = {}
    for text in given:
        name, _, count = text.partition("=")
        if name not in Faults.names() or not count.removeprefix("-").isdecimal():
            raise SettingsError(f"{text!r} is no NAME=COUNT of a fault", f"the faults are {', '.join(Faults.names())}")
        counts[name] = int(count)
    return counts
