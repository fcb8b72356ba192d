"""The command `eraflow`: it composes the verbs, runs the one that is asked for, and tells how it ended.

A verb is a file in `flows/command/verbs/`, with its arguments beside it, and an entry in VERBS. Heavy imports (Prefect,
the boosters) happen inside the functions of the verbs, so that `eraflow --help` stays quick.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Sequence

from eraflow import __version__
from eraflow.errors import EraflowError
from eraflow.machine.loopback import go_direct
from eraflow.machine.threads import check_threads
from eraflow.runs.weekrecord import error_values
from flows.command.terminal.interrupts import EXIT_INTERRUPTED
from flows.command.terminal.options import EPILOG
from flows.command.terminal.outputs import complain, finish_outputs, open_outputs, print_record
from flows.command.verbs import (
    alert,
    clean,
    compare,
    daily,
    doctor,
    export,
    golive,
    live,
    models,
    predict,
    rehearse,
    reproduce,
    resume,
    run,
    runs,
    sandbox,
    score,
    search,
    server,
    settings,
    show,
    submit,
    ui,
    upload,
)

VERBS = (
    *(run, daily, search, runs, show, reproduce, predict, export, rehearse, upload, score, compare, sandbox, doctor),
    live,
    *(models, resume, ui, clean, server, settings, submit, golive, alert),
)
"""The verbs in the order of the help; each is a module with a function `add(verbs)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run the verb, and turn a named error into one line and an exit code."""
    open_outputs()
    arguments = parser().parse_args(argv)
    arguments.put_aside = unusable = go_direct()
    for one in unusable:
        complain(str(one))
    try:
        check_threads()
        code = int(arguments.verb(arguments))
        finish_outputs()
        return code
    except EraflowError as error:
        complain(str(error))
        return _failed(arguments, error, error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        return _failed(arguments, KeyboardInterrupt(), EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of --json must be a record, whatever happened
        traceback.print_exc()
        return _failed(arguments, error, 1)


def _failed(arguments: argparse.Namespace, error: BaseException, code: int) -> int:
    """With --json the record of a verb that ended with an error; returns the exit code."""
    if getattr(arguments, "json", False):
        print_record({"outcome": "failed", "error": error_values(error)})
    return code


def parser() -> argparse.ArgumentParser:
    """The command line with all its verbs."""
    top = argparse.ArgumentParser(
        prog="eraflow",
        description="From raw Numerai data to a gated submission, every week, on one ordinary computer.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"eraflow {__version__}")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return top
