"""The command `eraflow`: each verb starts a flow or calls one function.

Heavy imports (Prefect, the boosters) happen inside the verbs, so that `eraflow --help` and `eraflow score` stay quick.
"""

from __future__ import annotations

import argparse
import math
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from eraflow import __version__
from eraflow.errors import EraflowError
from eraflow.machine.loopback import go_direct
from eraflow.machine.threads import check_threads
from eraflow.runs.weekrecord import error_values
from eraflow.settings.profiles import PROFILES
from flows.command.terminal.confidence import add_confidence
from flows.command.terminal.interrupts import EXIT_INTERRUPTED
from flows.command.terminal.outputs import complain, finish_outputs, open_outputs, print_record
from flows.command.verbs import alert_verb, clean_verb, golive_verb, server_verb, settings_verb, submit_verb

HOME_HELP = (
    "folder for data, runs, MLflow and Prefect (default: ERAFLOW_HOME, the .eraflow of a checkout one stands in, or "
    "this user's folder for the data of programs)"
)
EPILOG = (
    "exit codes: 0 done; 1 failed, with a named error; 2 wrong usage or settings; 3 the gate blocked, nothing was "
    "sent; 130 interrupted by Ctrl-C, 143 by SIGTERM: the same command with --resume goes on"
)


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
        if getattr(arguments, "json", False):
            print_record({"outcome": "failed", "error": error_values(error)})
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        if getattr(arguments, "json", False):
            print_record({"outcome": "failed", "error": error_values(KeyboardInterrupt())})
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of --json must be a record, whatever happened
        traceback.print_exc()
        if getattr(arguments, "json", False):
            print_record({"outcome": "failed", "error": error_values(error)})
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line with all its verbs."""
    top = argparse.ArgumentParser(
        prog="eraflow",
        description="From raw Numerai data to a gated submission, every week, on one ordinary computer.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"eraflow {__version__}")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")
    _run(verbs)
    _daily(verbs)
    _search(verbs)
    _predict(verbs)
    _score(verbs)
    _compare(verbs)
    _sandbox(verbs)
    _doctor(verbs)
    _resume(verbs)
    _ui(verbs)
    clean_verb.add(verbs)
    server_verb.add(verbs)
    settings_verb.add(verbs)
    submit_verb.add(verbs)
    golive_verb.add(verbs)
    alert_verb.add(verbs)
    return top


def _number(text: str) -> float:
    """A number of an option: finite and not below zero."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number from 0")
    return value


def _json_argument(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON record as the last line on stdout")


def _settings_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--profile", choices=sorted(PROFILES), help="what the other settings start from (default laptop)")
    verb.add_argument(
        "--data",
        metavar="DIR",
        help="a folder in tournament layout; the sandbox serves it, so the whole road is taken and nothing leaves "
        "this machine. Without it every profile but sandbox goes to Numerai",
    )
    verb.add_argument("--target", metavar="T", help="target to train on and score, for example target_ender_60")
    verb.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="any other setting by its dotted name (`eraflow settings` lists them all), for example windows.folds=4, "
        "models=lightgbm,xgboost, "
        "models.lightgbm.params.n_estimators=500; may be given many times. A model may name its own target after @, "
        "and after a colon that it learns what the benchmark leaves over (residual) or starts from searched parameters "
        "(tuned): models=lightgbm,lightgbm@target_ender_60,lightgbm:residual,xgboost:tuned. The members are then "
        "lightgbm, lightgbm-ender60, lightgbm-residual and xgboost",
    )
    verb.add_argument("--run-dir", metavar="DIR", help="folder of the run; an unfinished run in it is continued")
    verb.add_argument(
        "--resume",
        action="store_true",
        help="go on with the newest unfinished run of these settings, or with the one in --run-dir, whose settings are "
        "taken when no others are named; where there is nothing to resume a new run is started",
    )
    verb.add_argument("--home", metavar="DIR", help=HOME_HELP)
    verb.add_argument("--dry-run", action="store_true", help="stop before anything is sent")
    verb.add_argument(
        "--verbose",
        action="store_true",
        help="show the lines of the log instead of the live view; they are in run.log of the run's folder either way",
    )
    _json_argument(verb)


def _run(verbs: Any) -> None:
    verb = verbs.add_parser(
        "run",
        help="one complete week: fetch, train, judge, submit",
        epilog=EPILOG,
        description="Fetch and verify the data, train every model on purged windows, blend, judge, and submit if the "
        "gate allows it. `eraflow run --profile sandbox` needs no account.",
    )
    _settings_arguments(verb)
    verb.set_defaults(verb=lambda arguments: _start("weekly", arguments))


def _daily(verbs: Any) -> None:
    verb = verbs.add_parser(
        "daily",
        help="submit with the champion, for the rounds between two weeks",
        epilog=EPILOG,
        description="Fetch the live data, predict with the ensemble that was last shipped, and submit.",
    )
    _settings_arguments(verb)
    verb.set_defaults(verb=lambda arguments: _start("daily", arguments))


def _search(verbs: Any) -> None:
    verb = verbs.add_parser(
        "search",
        help="search parameters for the boosters; nothing is submitted",
        epilog=EPILOG,
        description="Search parameters for every booster of the settings on eras before the first judged one, confirm "
        "the best on eras that no trial saw, and keep them for models marked as tuned. Finished trials survive a kill: "
        "the same command goes on. Several processes, and with search.storage several computers, may work on one "
        "search at a time.",
    )
    _settings_arguments(verb)
    verb.add_argument("--trials", metavar="N", type=int, help="trials of each model, of all processes together")
    verb.add_argument("--model", metavar="NAME", action="append", help="search for this model only; may be given again")
    verb.set_defaults(verb=_call("flows.command.verbs.search_verb", "search"))


def _start(flow: str, arguments: argparse.Namespace) -> int:
    if sys.stderr.isatty() and not arguments.json:
        print("Eraflow is starting", file=sys.stderr, flush=True)  # what follows takes seconds to import
    from flows.command.starting.start import start

    return start(flow, arguments)


def _predict(verbs: Any) -> None:
    verb = verbs.add_parser(
        "predict",
        help="predict a file with a trained ensemble or model",
        description="Write predictions of a parquet or CSV file (also .csv.gz, .csv.xz), era by era, in memory that "
        "does not grow with it. A prediction that was killed goes on where it stopped. Nothing is sent. A file without "
        "rows gives an output without rows.",
    )
    verb.add_argument("live", metavar="FILE", nargs="?", help="parquet or CSV file with id, era and the features")
    verb.add_argument("--data", metavar="DIR", help="folder in tournament layout, whose live.parquet is taken")
    verb.add_argument(
        "--out",
        metavar="FILE",
        default="predictions.csv",
        help="where to write (default predictions.csv): .csv holds ranks within each era, as Numerai takes them; "
        ".parquet id, era and the predictions as they are",
    )
    source = verb.add_mutually_exclusive_group()
    source.add_argument("--run-dir", metavar="DIR", help="use the ensemble of this run")
    source.add_argument(
        "--ensemble", metavar="DIR", help="use this ensemble, or the model/ of a training stage (default: the champion)"
    )
    verb.add_argument(
        "--features", metavar="JSON", help="names of a single model's features, where nothing beside it tells them"
    )
    verb.add_argument(
        "--little-memory", action="store_true", help="spare memory at some cost of time; by itself below 2 GiB free"
    )
    verb.add_argument(
        "--prefetch",
        choices=("auto", "on", "off"),
        default="auto",
        help="read the next rows while predicting; auto measures whether it pays (default)",
    )
    verb.add_argument("--home", metavar="DIR", help="where the champion is registered")
    _json_argument(verb)
    verb.set_defaults(verb=_call("flows.command.verbs.predict_verb", "predict"))


def _score(verbs: Any) -> None:
    verb = verbs.add_parser(
        "score",
        help="score a file of predictions against a folder in tournament layout",
        description="Per-era CORR, MMC, BMC, FNC and exposure with calibrated intervals, as Numerai computes them.",
    )
    verb.add_argument("predictions", metavar="PREDICTIONS", help="CSV or parquet with id and prediction")
    verb.add_argument("--data", metavar="DIR", required=True, help="folder in tournament layout")
    verb.add_argument("--target", metavar="T", required=True, help="target to score on, for example target_ender_60")
    verb.add_argument("--alias-horizon", type=int, choices=(20, 60), help="days, only when T is the alias `target`")
    verb.add_argument("--benchmark", metavar="NAME", help="benchmark model for BMC (default: the one of this target)")
    verb.add_argument("--scratch", metavar="DIR", help="where the features are laid out meanwhile, one byte a value")
    add_confidence(verb)
    _json_argument(verb)
    verb.set_defaults(verb=_call("flows.command.verbs.score_verb", "score"))


def _compare(verbs: Any) -> None:
    verb = verbs.add_parser(
        "compare",
        help="compare the models of one or several runs, era by era",
        description="The mean of each model on the eras that all have in common, and its paired difference to one of "
        "them, with calibrated bounds. A difference inside the noise is called not distinguishable.",
    )
    verb.add_argument("runs", metavar="RUN_DIR", nargs="+", help="folders of runs with a finished backtest")
    verb.add_argument("--against", metavar="MODEL", help="the reference (default: the blend of the first run)")
    verb.add_argument(
        "--models",
        metavar="A,B",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="these alone (default: all); without one that covers few eras, more eras are in common",
    )
    verb.add_argument("--metric", default="corr", choices=("corr", "mmc", "bmc", "fnc"), help="default corr")
    add_confidence(verb)
    _json_argument(verb)
    verb.set_defaults(verb=_call("flows.command.verbs.compare_verb", "compare"))


def _sandbox(verbs: Any) -> None:
    verb = verbs.add_parser("sandbox", help="a local server that speaks Numerai's protocol")
    inner = verb.add_subparsers(title="verbs", required=True, metavar="VERB")
    serve = inner.add_parser("serve", help="serve generated or given data until Ctrl-C")
    serve.add_argument("--data", metavar="DIR", help="a folder in tournament layout (default: data is generated)")
    serve.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1 (default 8765; 0 chooses a free one)")
    serve.add_argument("--version", default="v5.3", help="data version under which the files are listed")
    serve.add_argument("--home", metavar="DIR", help="where generated data and state are kept")
    serve.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="size of generated data, for example sandbox.train_eras=100",
    )
    serve.add_argument(
        "--fault",
        metavar="NAME=COUNT",
        action="append",
        default=[],
        help="what the server does wrong, and how often, for example server_500=3; an unknown name lists them all",
    )
    serve.set_defaults(verb=_call("flows.command.verbs.sandbox_verb", "serve"))


def _doctor(verbs: Any) -> None:
    verb = verbs.add_parser(
        "doctor",
        help="check this machine, the installation, the Prefect server and the accounts",
        description="Look at everything a week depends on and say what to do. The alert block that the deployments "
        "name, or the one given here, gets a test message. Exit code 1 when something would stop a week.",
    )
    verb.add_argument("--home", metavar="DIR", help="home folder to check")
    verb.add_argument("--alert", metavar="BLOCK", help="notification block (type/name) to send a test message through")
    verb.add_argument("--online", action="store_true", help="also ask the API with the Numerai keys")
    verb.add_argument("--api", metavar="URL", help="address of a sandbox instead of Numerai")
    _json_argument(verb)
    verb.set_defaults(verb=_call("flows.command.doctor.doctor", "doctor"))


def _resume(verbs: Any) -> None:
    verb = verbs.add_parser(
        "resume",
        help="put crashed runs of the deployments back on the schedule",
        description="Reschedule the crashed runs of the deployments with the tag eraflow: each once, never beside "
        "another run of its deployment, never one that was for an older round. Safe to call at any time; the timer in "
        "deployments/ does it every five minutes. A run from the terminal goes on with `eraflow run --resume`.",
    )
    verb.add_argument("--install", action="store_true", help="also put the automation against zombies on the server")
    verb.add_argument(
        "--after", metavar="SECONDS", type=_number, default=60, help="leave younger crashes alone (default 60)"
    )
    verb.add_argument("--max-runs", metavar="N", type=int, default=3, help="leave runs started N times (default 3)")
    verb.add_argument("--max-age-days", metavar="DAYS", type=_number, default=6, help="leave older runs (default 6)")
    verb.add_argument("--wait", metavar="SECONDS", type=_number, default=0, help="wait for a server that still starts")
    verb.add_argument("--home", metavar="DIR", help="home folder; it holds the lock")
    _json_argument(verb)
    verb.set_defaults(verb=_call("flows.command.verbs.resume_verb", "resume"))


def _ui(verbs: Any) -> None:
    verb = verbs.add_parser("ui", help="open the Prefect UI (or MLflow) on the runs of this home")
    verb.add_argument("--home", metavar="DIR", help="home folder")
    verb.add_argument("--mlflow", action="store_true", help="MLflow instead of Prefect")
    verb.add_argument("--port", type=int, help="port on 127.0.0.1 (default 4200, MLflow 5000)")
    verb.set_defaults(verb=_call("flows.command.verbs.ui_verb", "ui"))


def _call(module: str, function: str) -> Any:
    def verb(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        return int(getattr(import_module(module), function)(arguments))

    return verb
