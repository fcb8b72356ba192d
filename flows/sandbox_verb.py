"""`eraflow sandbox serve`: the stand-in for Numerai, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from eraflow.settings import RunSettings
from eraflow.settings.override import settings_from
from eraflow.tournament.sandbox.generate import generate
from eraflow.tournament.sandbox.process import serve as serve_sandbox


def serve(arguments: argparse.Namespace) -> int:
    """Serve a given folder, or generate one first; ends with Ctrl-C."""
    settings: RunSettings = settings_from("sandbox", {"home": arguments.home}, arguments.set)
    home = settings.home_path / "sandbox" / "served"
    if arguments.data:
        folder = Path(arguments.data).expanduser().resolve()
    else:
        folder = generate(home / "data", settings.sandbox, version=arguments.version)
    return serve_sandbox(folder, home / "state", port=arguments.port, version=arguments.version)
