"""The record of a run, read from its folder: what `eraflow run --json` prints.

Nothing is remembered in the process: the folder tells it, so the record of a run that failed, or was killed and
continued, is built the same way.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import RUN_FILE
from eraflow.errors import EraflowError
from eraflow.machine.awake import since_boot, this_boot
from eraflow.runs.conclusion import SUBMISSION, accepted_submission, check_unfinished, unconfirmed_submission
from eraflow.runs.identity import identity
from eraflow.runs.insurance import FOLDER as INSURANCE
from eraflow.runs.onlookers import News, StepState, tell
from eraflow.runs.rundir import CLOCK
from eraflow.runs.stage import read_manifest

TIMES = "times.jsonl"
ERROR = "error.json"
STAGES = "stages.txt"
CHECKS = "checks.json"
LOST = "lost.json"
LEFT_OUT = "left_out.json"
ROUND = "round.json"
HELD = "held.json"
NOT_NEEDED = "not_needed.json"
"""In the folder of a run that is an insurance only: what was filed already."""
CONTEST, RECIPE = "contest.json", "recipe.json"
ENSEMBLES, CORRELATIONS = "ensembles", "correlations.json"
SENT = "sent"  # the folder that `eraflow submit` adds
TRAIN, SEARCH, SELECT, CODE, BLEND = "train-", "search-", "select", "vae", "blend"
TOLD = ("learns", "purge_weeks", "features")
FOLDS = ("folds", "folds_kept", "seconds_saved")
"""Of the metrics of a member's training, what its record tells, and what it tells where the stage does."""
STALE = (
    "gate/verdict.json",
    "record.json",
    TIMES,
    ERROR,
    STAGES,
    LOST,
    LEFT_OUT,
    ROUND,
    HELD,
    NOT_NEEDED,
    CONTEST,
)


def forget_last_outcome(run_dir: Path) -> None:
    """Remove what an earlier attempt of this run left, and start its clock anew; finished stages stay.

    So does a submission that was accepted, before whatever came next failed, and one that may have arrived: until it
    is read back, nobody can say that nothing was sent.

    Raises:
        RunConcludedError: the run has ended: nothing of it is removed.
    """
    check_unfinished(run_dir)
    for name in STALE:
        (run_dir / name).unlink(missing_ok=True)
    # ours, and not a folder that was there before
    sent = accepted_submission(run_dir) or unconfirmed_submission(run_dir)
    if (run_dir / "submission" / CHECKS).exists() and sent is None:
        shutil.rmtree(run_dir / "submission")
    write_json(run_dir / CLOCK, {"started": time.time(), "boot": this_boot(), "since_boot": since_boot()})


def note_stage(run_dir: Path, name: str) -> None:
    """Note that this attempt of the run came to a stage: what older attempts left is not reported as its own."""
    with (run_dir / STAGES).open("a", encoding="utf-8") as handle:
        handle.write(name + "\n")


def note_lost(run_dir: Path, stage: str, error: Exception) -> None:
    """Note that a stage failed for good, and how; the run goes on without it."""
    write_json(run_dir / LOST, {**(read_object(run_dir / LOST) or {}), stage: error_values(error)})


def note_left_out(run_dir: Path, errors: Mapping[str, Exception]) -> None:
    """Note the members that this run does without from the start, and why, by name."""
    write_json(run_dir / LEFT_OUT, {name: error_values(error) for name, error in errors.items()})


def _noted(run_dir: Path) -> set[str]:
    return set((run_dir / STAGES).read_text().split()) if (run_dir / STAGES).exists() else set()


@contextmanager
def timed(run_dir: Path, name: str) -> Iterator[None]:
    """Note the seconds of a step that is not a stage: downloads, tracking, the upload."""
    started = time.monotonic()
    ended: StepState = "failed"
    tell(News(name))
    try:
        yield
        ended = "finished"
    finally:
        seconds = round(time.monotonic() - started, 3)
        tell(News(name, ended, seconds=seconds))
        line = json.dumps({"name": name, "seconds": seconds})
        with (run_dir / TIMES).open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")


def error_values(error: BaseException) -> dict[str, Any]:
    """An exception as JSON: the code that machines read, what was wrong, what to do."""
    if isinstance(error, EraflowError):
        return {"code": error.code, "problem": error.problem, "remedy": error.remedy}
    if not isinstance(error, Exception):  # KeyboardInterrupt, Prefect's TerminationSignal, SystemExit
        return {
            "code": "interrupted",
            "problem": f"the run was ended from outside ({type(error).__name__})",
            "remedy": "`eraflow run --resume` goes on where it stopped; what was finished is kept",
        }
    return {
        "code": "unexpected",
        "problem": f"{type(error).__name__}: {error}",
        "remedy": "see the traceback in the log",
    }


def week_record(run_dir: Path) -> dict[str, Any]:
    """Everything that the folder of a run tells.

    Returns:
        ensembles: the same of each further ensemble, by name (each with its `slot`; its outcome is `judged` where it
        has none); recipe: which one the main slot ships; contest: the look at its challenger and what it decides, or
        null; correlations: how alike their predictions are, see `eraflow.scoring.predictioncorrelation`, or null;
        run_dir; identity, see `eraflow.runs.identity.identity`;
        outcome: `submitted`, `submitted_with_error` (accepted, then something failed), `unconfirmed` (sent,
        not known to be accepted), `ready` (dry run), `kept` (another submission of this round was
        there and was kept), `held` or `failed`; verdict; scores of each model and of the blend
        with intervals; worth: what each member adds to the blend, with intervals, and the correlation of all members,
        or null; members: name to what each learns (its target, and the benchmark whose residual it is), its
        purge in weeks, how many features each fold and the final fit use, how many folds were found finished in the
        home and the seconds that saved, and the base that it adapts, if it does; blend: its method and the weight of
        each member, or null; lost_models and lost_searches: name to
        error of each that failed for good; lost_selection, lost_code: its error, or null; left_out:
        name to error of each member of the profile that was not begun (no library, too long); submission id and state,
        that of `eraflow submit` where it sent later; insurance: the same of the champion's prediction that was sent in
        its place, or null; not_needed: of a run that is an insurance only, what was filed already, or null; drift: what
        was found about the live era, or null;
        may_be_done: sentences, of a week that is held; seconds, peak MiB and attempts by stage; seconds of the whole
        flow; error or null.
    """
    later = read_object(run_dir / SENT / "record.json")
    verdict = read_object(run_dir / SENT / "verdict.json" if later else run_dir / "gate" / "verdict.json")
    submission = later or read_object(run_dir / "submission" / "record.json")
    scores = read_object(run_dir / "backtest" / "scores.json") if "backtest" in _noted(run_dir) else None
    error = read_object(run_dir / ERROR)
    return {
        "run_dir": str(run_dir),
        "identity": identity(run_dir),
        "outcome": _outcome(
            verdict, submission, error, not_needed=(run_dir / NOT_NEEDED).exists(), sends=_sends(run_dir)
        ),
        "verdict": verdict,
        "scores": {name: model["summary"] for name, model in (scores or {}).items()},
        "against_benchmark": read_object(run_dir / "backtest" / "comparisons.json") if scores else None,
        "neutralisation": read_object(run_dir / "backtest" / "neutralisation.json") if scores else None,
        "worth": read_object(run_dir / "backtest" / "worth.json") if scores else None,
        "submission": submission,
        "insurance": read_object(run_dir / INSURANCE / SUBMISSION),
        "not_needed": read_object(run_dir / NOT_NEEDED),
        "drift": read_object(run_dir / "drift" / "drift.json") if "drift" in _noted(run_dir) else None,
        "may_be_done": (read_object(run_dir / HELD) or {}).get("may_be_done", []),
        "members": members(run_dir),
        "blend": blended(run_dir),
        **_lost(run_dir),
        "left_out": read_object(run_dir / LEFT_OUT) or {},
        "stages": stages(run_dir),
        "seconds": (read_object(run_dir / CLOCK) or {}).get("seconds"),
        **_ensembles(run_dir),
        "error": error,
    }


def _ensembles(run_dir: Path) -> dict[str, Any]:
    """The further ensembles of a week by name, and how alike they are; in the record of one, its slot."""
    noted = read_object(run_dir / RUN_FILE) or {}
    if "sent" in noted:
        return {"slot": noted.get("slot")}
    folders = [path.parent for path in sorted(run_dir.glob(f"{ENSEMBLES}/*/{RUN_FILE}"))]
    found = {folder.name: week_record(folder) for folder in folders}
    told = {"recipe": (read_object(run_dir / RECIPE) or {}).get("name"), "contest": read_object(run_dir / CONTEST)}
    return {
        **told,
        "ensembles": found,
        "correlations": read_object(run_dir / ENSEMBLES / CORRELATIONS) if found else None,
    }


def write_outcome(run_dir: Path, error: BaseException | None = None) -> dict[str, Any]:
    """Write `record.json`, with the error that ended the run if there is one, and return it."""
    if error is not None:
        write_json(run_dir / ERROR, error_values(error))
    clock = read_object(run_dir / CLOCK) or {}
    if "started" in clock:
        ended = {"seconds": round(_seconds(clock), 3), "ended": time.time()}
        write_json(run_dir / CLOCK, {**clock, **ended})
    record = week_record(run_dir)
    write_json(run_dir / "record.json", record)
    return record


def _seconds(clock: Mapping[str, Any]) -> float:
    """Seconds since this attempt began; the wall clock is asked only where the computer was started anew since."""
    if clock.get("boot") == this_boot() and "since_boot" in clock:
        return max(since_boot() - float(clock["since_boot"]), 0.0)
    return max(time.time() - float(clock["started"]), 0.0)


def _lost(run_dir: Path) -> dict[str, Any]:
    """What the run went on without, by what it is lost for."""
    lost = read_object(run_dir / LOST) or {}
    return {
        "lost_models": _named(lost, TRAIN),
        "lost_searches": _named(lost, SEARCH),
        "lost_selection": lost.get(SELECT),
        "lost_code": lost.get(CODE),
    }


def _named(lost: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {stage.removeprefix(prefix): error for stage, error in lost.items() if stage.startswith(prefix)}


def _sends(run_dir: Path) -> bool:
    """Whether what is made here is sent anywhere: a further ensemble of a week need not have a slot."""
    return (read_object(run_dir / RUN_FILE) or {}).get("sent") is not False


def _outcome(verdict: Any, submission: Any, error: Any, *, not_needed: bool, sends: bool) -> str:
    if not_needed and error is None:
        return "kept"
    if submission is not None and submission["state"] is not None:
        return "submitted" if error is None else "submitted_with_error"
    if submission is not None and submission["sending"]:
        return "unconfirmed"
    if submission is not None and submission.get("kept") is not None and error is None:
        return "kept"
    if error is not None:
        return "failed"
    if submission is not None and not submission.get("held"):
        return "ready"
    if verdict is not None and not sends:
        return "judged"
    return "held" if verdict is not None and not verdict["passed"] else "failed"


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Seconds, peak memory and attempts by stage, then the seconds of the steps that are not stages."""
    found: dict[str, dict[str, Any]] = {}
    noted = _noted(run_dir)
    for manifest in sorted(run_dir.glob("*/manifest.json"), key=lambda path: path.stat().st_mtime):
        record = read_manifest(manifest.parent)
        if record is not None and record.name in noted:
            found[record.name] = {"seconds": record.seconds, "peak_mb": record.peak_mb, "attempts": record.attempts}
    for row in _lines(run_dir / TIMES):
        found[row["name"]] = {"seconds": row["seconds"], "peak_mb": None, "attempts": 1}
    return found


def members(run_dir: Path) -> dict[str, dict[str, Any]]:
    """What each trained member of this run learns: `learns`, `purge_weeks` and `features`, as its stage tells.

    Also `folds`, how many of them were found finished in the home, `folds_kept`, and what their training had taken,
    `seconds_saved`. Of a bag also `bag`, how many fits it is made of. Of one that adapts a base also `adaptation`: of
    each window and for live, which base, how old, and whether adapters were merged.
    """
    found = {}
    for name in sorted(each for each in _noted(run_dir) if each.startswith(TRAIN)):
        record = read_manifest(run_dir / name)
        if record is not None and "learns" in record.metrics:
            told = {key: record.metrics.get(key) for key in TOLD}
            told |= {key: record.metrics[key] for key in (*FOLDS, "bag", "adaptation") if key in record.metrics}
            found[name.removeprefix(TRAIN)] = told
    return found


def blended(run_dir: Path) -> dict[str, Any] | None:
    """How this run's members were blended: `method`, `weights` by member, and where they were learnt `learnt`; None
    before they are.
    """
    record = read_manifest(run_dir / BLEND) if BLEND in _noted(run_dir) else None
    if record is None or "weights" not in record.metrics:
        return None
    weights = dict(zip(record.metrics["members"], record.metrics["weights"], strict=True))
    learnt = {"learnt": record.metrics["learnt"]} if "learnt" in record.metrics else {}
    return {"method": record.metrics["method"], "weights": weights, **learnt}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
