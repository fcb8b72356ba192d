"""`eraflow predict`: predictions of a file by a trained ensemble or model. Nothing is sent.

The work is done in a process of its own, whose memory can be kept small before any library is loaded; this one loads
next to nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from eraflow.errors import SettingsError
from eraflow.machine.isolate import IsolatedResult
from eraflow.machine.progress import readable_seconds
from eraflow.runs.conclusion import check_outside_of_concluded
from eraflow.runs.scratch import scratch_folder
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import complain, print_record, say
from flows.command.verbs.predict_model import model_for


def add(verbs: Any) -> None:
    """The arguments of the verb."""
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
    add_json(verb)
    verb.set_defaults(verb=predict)


def predict(arguments: argparse.Namespace) -> int:
    """Predict every row of the file and write the output."""
    from flows.command.verbs.predict_apart import predict_apart

    data, out, began = _data(arguments), Path(arguments.out), time.monotonic()
    check_outside_of_concluded(out)
    _check_replaceable(out)
    with scratch_folder("eraflow-predict-") as scratch:
        folder, source, oof_file = model_for(arguments, scratch)
        outcome = predict_apart(arguments, folder, data, out, scratch, oof_file)
    record = _record(outcome, out, source, time.monotonic() - began)
    warning = in_sample_warning(record)
    if warning:
        complain(f"warning: {warning}")
    if arguments.json:
        print_record(record)
    else:
        say(_words(record))
    return 0


def _check_replaceable(out: Path) -> None:
    """What lies at the place of the output is replaced only where it looks like predictions.

    Raises:
        SettingsError: it is another file.
    """
    if not out.is_file() or out.stat().st_size == 0:
        return
    with out.open("rb") as file:
        begins = file.read(4)
    if begins not in (b"PAR1", b"id,p"):
        raise SettingsError(f"--out: {out} is there and holds no predictions", "choose another name, or move it away")


def _record(outcome: IsolatedResult, out: Path, source: str, seconds: float) -> dict[str, Any]:
    from eraflow.disk.digest import file_sha256

    return {
        "file": str(out),
        "rows": outcome.value["rows"],
        "eras": outcome.value["eras"],
        "sha256": file_sha256(out),
        "ensemble": source,
        "seconds": round(seconds, 3),
        "peak_mb": round(outcome.peak_rss_mb, 1),
        "resumed_from": outcome.value["resumed_from"],
        "origin_known": outcome.value["origin_known"],
        "in_sample": outcome.value["in_sample"],
        "oof_file": outcome.value["oof_file"],
    }


def in_sample_warning(record: dict[str, Any]) -> str:
    """What must be known before these predictions are scored; empty where nothing is."""
    if not record["origin_known"]:
        return (
            "which eras these models learned from is unknown (they do not say it): scores of past eras "
            "may be in-sample; those of the run's out-of-fold predictions are not"
        )
    found = record["in_sample"]
    count = found["learned"] + found["overlapping"]
    if not count:
        return ""
    oof = record["oof_file"]
    return (
        f"{count} of {record['eras']} eras ({found['first_era']} to {found['last_era']}) are in-sample, and their "
        f"scores no evidence of skill: the models learned from {found['learned']} of them, labels of "
        f"{found['overlapping']} overlap with those they learned; "
        + (f"honest predictions of past eras are in {oof}" if oof else "score the out-of-fold predictions of the run")
    )


def _words(record: dict[str, Any]) -> str:
    there = record["resumed_from"]
    resumed = "" if there is None else f"; went on after {there} rows of an earlier attempt"
    return (
        f"{record['rows']} predictions of {record['eras']} eras in {record['file']}, by {record['ensemble']} "
        f"({readable_seconds(record['seconds'])}, {record['peak_mb']:.0f} MiB{resumed})"
    )


def _data(arguments: argparse.Namespace) -> Path:
    if bool(arguments.live) == bool(arguments.data):
        raise SettingsError("predict needs one file", "name LIVE.parquet, or a folder with --data")
    return Path(arguments.live) if arguments.live else Path(arguments.data) / "live.parquet"
