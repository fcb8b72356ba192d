"""`eraflow submit`: send later, within the round, what a held or dry run has predicted, when the verdict allows it."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.errors import EraflowError, SettingsError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import complain, print_record, tell

if TYPE_CHECKING:
    from rich.console import RenderableType

MAY_CHANGE = ("gate.", "submit.replace", "submit.confirm_minutes", "source.keys_block")


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "submit",
        help="send later what a held or dry run has predicted",
        description="Judge a held or dry run anew from its stored scores, in seconds, and send its prediction when the "
        "verdict allows it, as long as its round is open. The run's own files stay as they are: what is added lies in "
        "RUN_DIR/sent. A run whose submission was accepted, an older round, changed files and another ensemble are "
        "refused. Exit code 3: the gate still blocks.",
    )
    verb.add_argument("run_dir", metavar="RUN_DIR", help="folder of the run")
    verb.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a threshold to judge by, for example gate.corr_bound=null, which switches that rule off; or "
        "submit.replace=true, which replaces what is filed for this round",
    )
    verb.add_argument(
        "--ensemble", metavar="NAME", help="send this further ensemble of the run to its slot, not the week's own"
    )
    verb.add_argument("--dry-run", action="store_true", help="only verify and judge; nothing is sent nor written")
    add_json(verb)
    verb.set_defaults(verb=submit)


def submit(arguments: argparse.Namespace) -> int:
    """Verify, judge, send; returns the exit code."""
    from eraflow.runs.conclusion import SENT_LATER, unconfirmed_submission
    from eraflow.runs.ensemblefolders import require_ensemble
    from eraflow.runs.rundir import locked
    from eraflow.runs.weekrecord import SENT, week_record

    run_dir = Path(arguments.run_dir).expanduser().resolve()
    if arguments.ensemble is not None:
        run_dir = require_ensemble(run_dir, arguments.ensemble)
    _refuse_others(run_dir)
    log_to_stderr()
    settings = _settings(run_dir, arguments.set)
    with locked(run_dir):
        _refuse_others(run_dir)  # another process may have sent it meanwhile
        try:
            told = _judged_and_sent(run_dir, settings, dry_run=arguments.dry_run)
        except EraflowError as error:
            if unconfirmed_submission(run_dir, SENT_LATER) is None:
                raise
            return _unconfirmed(run_dir, error, as_json=arguments.json)
        record = told if arguments.dry_run else {**week_record(run_dir), "folder": str(run_dir / SENT)}
    if arguments.json:
        print_record(record)
    else:
        from flows.command.terminal.printing import show

        show(_parts(record, run_dir))
    return 0


def _unconfirmed(run_dir: Path, error: EraflowError, *, as_json: bool) -> int:
    """Tell of an upload that may have arrived, now or when this was tried before; returns the exit code."""
    from eraflow.runs.weekrecord import SENT, error_values, week_record

    complain(str(error))
    if as_json:
        print_record({**week_record(run_dir), "error": error_values(error), "folder": str(run_dir / SENT)})
    return error.exit_code


def _refuse_others(run_dir: Path) -> None:
    """Only a run that is held, ready or kept its hands off another submission may be sent later."""
    from eraflow.gate.storedweek import NothingToSendError
    from eraflow.runs.conclusion import OPEN_TO_SUBMIT, RunConcludedError, conclusion

    ended = conclusion(run_dir)
    if ended is None:
        raise NothingToSendError(
            f"{run_dir} holds no run that has ended",
            "name the folder of a held or dry run; an unfinished one goes on with `eraflow run --resume --run-dir`",
        )
    if ended not in OPEN_TO_SUBMIT:
        raise RunConcludedError(
            f"the run in {run_dir} has ended ({ended}), and is kept as it is", "run a new week for another submission"
        )


def _settings(run_dir: Path, assignments: Sequence[str]) -> Any:
    """The run's settings, with the thresholds that are named."""
    from eraflow.runs.unfinished import SETTINGS
    from eraflow.settings.override import settings_on
    from eraflow.settings.run import RunSettings

    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        if key != "gate" and not key.startswith(MAY_CHANGE):
            raise SettingsError(
                f"{key[:80]} decides what was predicted, or has no part in sending it",
                "`eraflow submit` takes gate.*, submit.replace, submit.confirm_minutes and source.keys_block",
            )
    path = run_dir / SETTINGS
    try:
        stored = RunSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({type(error).__name__})", "run the week again") from error
    given = {"submit": {"dry_run": False}, "run_dir": str(run_dir)}
    return settings_on(stored, given, assignments).at_home()


def _judged_and_sent(run_dir: Path, settings: Any, *, dry_run: bool) -> dict[str, Any]:
    """Verify and judge, then send; the record of what was judged."""
    from eraflow.gate.storedweek import read_stored_week
    from flows.command.prefectserver.environment import prepare

    week = read_stored_week(run_dir, settings)
    prepare(settings.home_path)  # before anything imports Prefect
    from tasks.later import allowing_verdict, send_later
    from tasks.run import Run

    run = Run(settings, run_dir)
    verdict = allowing_verdict(run, week)
    record = {"run_dir": str(run_dir), "outcome": "ready", "verdict": verdict.as_dict(), "submission": None}
    if not dry_run:
        with server_for_keys(settings):
            send_later(run, week, verdict)
    return record


@contextmanager
def server_for_keys(settings: Any) -> Any:
    """A Prefect server where the keys lie in a block of this home and none runs."""
    named = os.environ.get("NUMERAI_PUBLIC_ID") and os.environ.get("NUMERAI_SECRET_KEY")
    with ExitStack() as stack:
        if settings.source.kind == "numerai" and not named and not os.environ.get("PREFECT_API_URL"):
            from flows.command.prefectserver.runserver import run_server

            address = stack.enter_context(run_server(Path(os.environ["PREFECT_HOME"]), tell))
            os.environ["PREFECT_API_URL"] = f"{address}/api"
        yield


class StderrHandler(logging.Handler):
    """Lines of the log on stderr, as all that is told there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        tell(self.format(record))


def log_to_stderr() -> None:
    """What the product logs goes to stderr, where nobody else takes it."""
    logger = logging.getLogger("eraflow")
    if not logger.handlers:
        logger.addHandler(StderrHandler())
        logger.setLevel(logging.INFO)
        logger.propagate = False  # Prefect's own handler would say it again


def _parts(record: dict[str, Any], run_dir: Path) -> list[RenderableType]:
    from flows.command.starting.summary import OUTCOMES, verdict_in_words
    from flows.command.terminal.printing import places, words

    submission = record["submission"] or {}
    state = submission.get("state") or {}
    told = OUTCOMES[record["outcome"]]
    if record["outcome"] == "ready":
        told = "The verdict allows it; nothing was sent (dry run)."
    elif state.get("already"):
        told = "These very predictions were filed before; nothing was sent again."
    where = [("run folder", str(run_dir))]
    if state:
        where.insert(0, ("submission", f"{state['id']} ({state['status']}), round {submission['round_number']}"))
    return [words(told, "bold"), verdict_in_words(record["verdict"]), places(where)]
