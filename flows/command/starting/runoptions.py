"""The options of the verbs that start a flow: settings, folders, and how it is shown."""

from __future__ import annotations

import argparse

from eraflow.settings.profiles import PROFILES
from flows.command.terminal.options import add_json

HOME_HELP = (
    "folder for data, runs, MLflow and Prefect (default: ERAFLOW_HOME, the .eraflow of a checkout one stands in, or "
    "this user's folder for the data of programs)"
)


def add_run_options(verb: argparse.ArgumentParser) -> None:
    """Give a verb the options."""
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
        "and after a colon that it learns what the benchmark leaves over (residual), starts from searched parameters "
        "(tuned), is the average of several fits (bag) or one fit where the profile has a bag (single): "
        "models=lightgbm,lightgbm@target_ender_60,lightgbm:residual,xgboost:tuned. The members are then "
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
    add_json(verb)
