"""Connect to the tournament: Numerai, a sandbox that already runs, or one that is started for this run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eraflow.disk.digest import value_sha256
from eraflow.disk.locks import my_turn
from eraflow.machine.threads import check_threads
from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.sendlock import NUMERAI
from eraflow.rehearsal.environment import rehearsal_folder
from eraflow.runs.continuation import stored_settings
from eraflow.runs.ensemblefolders import week_of
from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from eraflow.sandbox.records import SANDBOX_KEYS
from eraflow.settings.run import RunSettings
from tasks.keys import keys_if_any, numerai_keys
from tasks.run import Run
from tasks.runlog import run_log

SANDBOX_SLOT = "eraflow"
"""The slot that every sandbox's account has."""


@contextmanager
def open_tournament(run: Run, *, sends: bool = True) -> Iterator[Tournament]:
    """A client for the place that the settings name. A sandbox started here ends with the block.

    Args:
        run: the settings and the folder.
        sends: whether the flow sends anything at all. A sandbox for a run that sends nothing, a dry run for example,
            has a state of its own, so that several such runs can work in one home. Two that send share what was sent:
            the second waits for the first.
    """
    check_threads()  # a worker starts no command that would have looked
    source = run.settings.source
    if source.kind == "sandbox" and source.url is None:
        folder, state = _sandbox_folders(run.settings)
        spec = RoundSpec(target=run.settings.data.target)
        with (
            _state_of(run, state, sends=sends) as own,
            sandbox(
                folder,
                own,
                version=run.settings.data.version,
                round_spec=spec,
                models=sandbox_slots(run),
                rehearsals=rehearsal_folder(run.settings.home_path),
            ) as address,
        ):
            run_log().info("sandbox serves %s at %s", folder, address.url)
            yield _client(run, Endpoint(address.url, address.public_id, address.secret_key))
    elif source.kind == "sandbox":
        yield _client(run, Endpoint(source.url, *SANDBOX_KEYS))
    else:
        needed = sends and not run.settings.submit.dry_run
        keys = numerai_keys(source.keys_block) if needed else keys_if_any(source.keys_block)
        yield _client(run, Endpoint(source.url, *(keys or (None, None))))


def sandbox_slots(run: Run) -> tuple[str, ...]:
    """The model slots of a sandbox's account: one for the week, and those that its further ensembles name."""
    week = week_of(run.path)
    settings = run.settings if week == run.path else stored_settings(week) or run.settings
    further = (each.slot for each in settings.ensembles if each.slot is not None)
    return tuple(dict.fromkeys((SANDBOX_SLOT, *further)))


@contextmanager
def _state_of(run: Run, state: Path, *, sends: bool) -> Iterator[Path]:
    """Where the sandbox of this run keeps what it is sent; `state` is held by one run at a time."""
    if not sends or run.settings.submit.dry_run:
        yield run.path / "sandbox"
        return
    told = "another run sends to the sandbox of the same data; this one goes on when that one has ended"
    with my_turn(state / "turn", lambda: run_log().warning(told)):
        yield state


def _client(run: Run, endpoint: Endpoint) -> Tournament:
    source = run.settings.source
    return Tournament(
        endpoint,
        call_seconds=source.call_seconds,
        transfer_seconds=source.transfer_seconds,
        attempts=source.attempts,
        log=run_log().info,
        warn=run_log().warning,
    )


def served_folder(settings: RunSettings) -> Path | None:
    """The folder on this computer that the sandbox of these settings serves; None where there is none of ours."""
    source = settings.source
    if source.kind != "sandbox" or source.url is not None:
        return None
    if source.data_dir is not None:
        return Path(source.data_dir).expanduser().resolve()
    return settings.home_path / "sandbox" / source_key(settings) / "data"


def _sandbox_folders(settings: RunSettings) -> tuple[Path, Path]:
    """The folder to serve and the one for the server's own state; generated data is made once and kept."""
    home = settings.home_path / "sandbox"
    name = source_key(settings)
    if settings.source.data_dir is not None:
        return Path(settings.source.data_dir).expanduser().resolve(), home / name / "state"
    folder = home / name / "data"
    told = "another run generates the same data; this one waits for them"
    with my_turn(home / name / "turn", lambda: run_log().info(told)):
        generate(folder, settings.sandbox, version=settings.data.version)
    return folder, home / name / "state"


def destination(settings: RunSettings) -> str | None:
    """The address that submissions go to; None for a sandbox that the run brings with it."""
    return NUMERAI if settings.source.kind == "numerai" else settings.source.url


def source_key(settings: RunSettings) -> str:
    """A folder name for what comes from this source, so that two sources never share a download."""
    source = settings.source
    if source.kind == "numerai":
        return "numerai"
    if source.url is not None:
        return f"sandbox-{value_sha256(source.url)[:12]}"
    if source.data_dir is not None:
        return f"folder-{value_sha256(str(Path(source.data_dir).expanduser().resolve()))[:12]}"
    return f"generated-{value_sha256(settings.sandbox.identity())[:12]}"
