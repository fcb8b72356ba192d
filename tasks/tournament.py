"""Open the road to the tournament: Numerai, a sandbox that already runs, or one that is started for this run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import get_run_logger

from eraflow.settings import RunSettings
from eraflow.store.digest import value_sha256
from eraflow.tournament.client import Endpoint, Tournament
from eraflow.tournament.sandbox.generate import generate
from eraflow.tournament.sandbox.process import sandbox
from eraflow.tournament.sandbox.records import SANDBOX_KEYS
from tasks.keys import numerai_keys
from tasks.run import Run


@contextmanager
def open_tournament(run: Run, *, sends: bool = True) -> Iterator[Tournament]:
    """A client for the place that the settings name. A sandbox started here ends with the block.

    Args:
        run: the settings and the folder.
        sends: whether submissions are to be remembered; a sandbox for a run that sends nothing has a state of its own,
            so that several such runs can work in one home.
    """
    source = run.settings.source
    if source.kind == "sandbox":
        _no_proxy_for_loopback()
    if source.kind == "sandbox" and source.url is None:
        folder, state = _sandbox_folders(run.settings)
        state = state if sends else run.path / "sandbox"
        with sandbox(folder, state, version=run.settings.data.version) as address:
            get_run_logger().info("sandbox serves %s at %s", folder, address.url)
            yield _client(run, Endpoint(address.url, address.public_id, address.secret_key))
    elif source.kind == "sandbox":
        yield _client(run, Endpoint(source.url, *SANDBOX_KEYS))
    else:
        yield _client(run, Endpoint(source.url, *numerai_keys(source.keys_block)))


def _no_proxy_for_loopback() -> None:
    """A proxy of the user's must not be asked for 127.0.0.1: it would look on its own machine."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [entry for entry in os.environ.get(name, "").split(",") if entry]
        if "*" not in known:
            os.environ[name] = ",".join(dict.fromkeys([*known, "127.0.0.1", "localhost"]))


def _client(run: Run, endpoint: Endpoint) -> Tournament:
    source = run.settings.source
    return Tournament(
        endpoint,
        call_seconds=source.call_seconds,
        transfer_seconds=source.transfer_seconds,
        attempts=source.attempts,
        log=get_run_logger().info,
        warn=get_run_logger().warning,
    )


def _sandbox_folders(settings: RunSettings) -> tuple[Path, Path]:
    """The folder to serve and the one for the server's own state; generated data is made once and kept."""
    home = settings.home_path / "sandbox"
    name = source_key(settings)
    if settings.source.data_dir is not None:
        return Path(settings.source.data_dir).expanduser().resolve(), home / name / "state"
    folder = home / name / "data"
    generate(folder, settings.sandbox, version=settings.data.version)
    return folder, home / name / "state"


def source_key(settings: RunSettings) -> str:
    """A folder name for what comes from this source, so that two sources never share a download."""
    source = settings.source
    if source.kind == "numerai":
        return "numerai"
    if source.url is not None:
        return f"sandbox-{value_sha256(source.url)[:12]}"
    if source.data_dir is not None:
        return f"folder-{value_sha256(str(Path(source.data_dir).expanduser().resolve()))[:12]}"
    return f"generated-{value_sha256(json.loads(settings.sandbox.model_dump_json()))[:12]}"
