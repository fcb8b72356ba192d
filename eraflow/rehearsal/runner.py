"""Loads a pickle and calls it as Numerai's predict.py does, within Numerai's limits: `python -I runner.py SPEC`.

This file is run by itself by the interpreter of a rehearsal, in an empty folder: it imports only Python's own modules,
numpy and pandas. What it finds goes into a JSON file, written anew after each step, so that a process that is killed
has told how far it came.
"""

import ctypes
import inspect
import json
import os
import resource
import runpy
import signal
import sys
import time
import traceback
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

MIB = 1 << 20
PR_SET_PDEATHSIG = 1


class Absent(MetaPathFinder):
    """Modules that the image lacks are not found, whatever lies on the path."""

    def __init__(self, names: list[str]) -> None:
        self.names = set(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise for what is absent; leave the rest to others."""
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class Report:
    """What has happened so far."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: dict[str, Any] = {"step": "starting", "error": None, "problems": []}

    def at(self, step: str, **more: Any) -> None:
        """Note the step that begins."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.found.update(step=step, cpu_seconds=usage.ru_utime + usage.ru_stime, **more)
        self.found["peak_rss_mb"] = peak_mib(usage.ru_maxrss)
        temporary = f"{self.path}.part"
        Path(temporary).write_text(json.dumps(self.found), encoding="utf-8")
        os.replace(temporary, self.path)

    def problem(self, code: str, text: str) -> None:
        """Something that Numerai would refuse."""
        self.found["problems"].append([code, text])


def peak_mib(most: int) -> float:
    """The highest memory since this program began, MiB.

    The system's own figure, `ru_maxrss`, begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return most / (2**20 if sys.platform == "darwin" else 1024)


def main(spec_file: str) -> None:
    """Do what the spec says."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    report = Report(spec["report"])
    report.at("starting")
    try:
        confine(spec, report)
        run(spec, report)
        report.at("done")
    except BaseException as error:  # noqa: BLE001 - whatever it is, the report tells it
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        named: dict[str, Any] = {"type": type(error).__name__, "text": str(error), "trace": "".join(lines)[-4000:]}
        named["module"] = getattr(error, "name", None) if isinstance(error, ImportError) else None
        report.at(report.found["step"], error=named)


def confine(spec: dict[str, Any], report: Report) -> None:
    """One processor, the memory and the seconds that there are, no network, no modules that the image lacks."""
    end_with_parent(spec["parent"])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (spec["seconds"], spec["seconds"] + 5))
    if spec["memory_mb"]:
        resource.setrlimit(resource.RLIMIT_DATA, (spec["memory_mb"] * MIB, spec["memory_mb"] * MIB))
    held = ["container"] if spec["contained"] else runpy.run_path(spec["nonetwork"])["forbid_network"]()
    sys.meta_path.insert(0, Absent(spec["absent"]))
    report.at("importing", no_network=held, python=".".join(map(str, sys.version_info[:2])))


def end_with_parent(parent: int) -> None:
    """Be killed when the process that started this one ends, however it does."""
    if not parent or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        sys.exit("the process that started this one has ended")


def run(spec: dict[str, Any], report: Report) -> None:
    """Load the model, compare its parts, predict each file."""
    import pandas as pd

    report.at("loading")
    model = pd.read_pickle(spec["pickle"])
    report.at("signature")
    count = len(inspect.signature(model).parameters)
    if count not in (1, 2):
        report.problem("pickle_parameters", f"the function has {count} parameters")
        return
    if spec["reference"]:
        report.at("parts")
        report.found["parts"] = compare(model, spec["reference"])
    report.found["runs"] = []
    for file in spec["files"]:
        report.at(f"predicting {file['name']}")
        began = time.process_time()
        told = predict(model, count, file, report)
        report.found["runs"].append({**told, "cpu_seconds": time.process_time() - began})
    known = sys.stdlib_module_names
    report.found["modules"] = sorted({name.partition(".")[0] for name in sys.modules} - known)


def compare(model: Any, path: str) -> list[dict[str, Any]]:
    """How far each part, and the whole, is from its reference, in standard deviations of that."""
    import numpy as np

    with Path(path).open("rb") as file:
        header, codes, members, whole = (np.load(file, allow_pickle=False) for _ in range(4))
    told = json.loads(header.tobytes())
    if not hasattr(model, "members"):
        return []
    found = model.members(codes)
    pairs = [(part["name"], part["tolerance"], found[:, at], members[:, at]) for at, part in enumerate(told["parts"])]
    pairs.append(("the whole", max(pair[1] for pair in pairs) * 10, model.finish(found, codes), whole))
    return [
        {
            "name": name,
            "tolerance": tolerance,
            "difference": float(np.abs(mine - theirs).max() / (theirs.std() or 1.0)),
            "shift": float((mine - theirs).mean() / (theirs.std() or 1.0)),
        }
        for name, tolerance, mine, theirs in pairs
    ]


def predict(model: Any, count: int, file: dict[str, Any], report: Report) -> dict[str, Any]:
    """Predict a file era by era as the runtime does, or all at once; check what comes back."""
    import pandas as pd

    live = pd.read_parquet(file["live"])
    benchmarks = pd.read_parquet(file["benchmarks"])
    groups = [("all", live)] if file["at_once"] else list(live.groupby("era"))
    made = []
    for _, rows in groups:
        found = model(rows) if count == 1 else model(rows, benchmarks.loc[rows.index])
        if not as_the_runtime(found, rows, report):
            return {"name": file["name"], "rows": len(live), "eras": len(groups)}
        made.append(found)
    whole = pd.concat(made)
    as_the_server(whole, live, report)
    if file.get("out"):
        whole.to_csv(file["out"])
    different = whole.iloc[:, 0].groupby(live["era"].reindex(whole.index)).nunique().sum()
    ties = float(1 - different / max(len(whole), 1))
    return {"name": file["name"], "rows": len(live), "eras": int(live["era"].nunique()), "ties": ties}


def as_the_runtime(found: Any, rows: Any, report: Report) -> bool:
    """What predict.py looks at before it writes the predictions down."""
    import pandas as pd

    if type(found) is not pd.DataFrame:
        report.problem("pickle_result", f"the function returned {type(found).__name__} instead of a DataFrame")
    elif len(found) != len(rows):
        report.problem("pickle_rows", f"the function returned {len(found)} predictions for {len(rows)} rows")
    elif found.isna().any().any():
        report.problem("pickle_nan", f"{int(found.isna().any(axis=1).sum())} predictions are NaN")
    elif not found.iloc[:, 0].between(0, 1).all():
        report.problem("pickle_range", "a prediction lies outside of 0 to 1")
    else:
        return True
    return False


def as_the_server(whole: Any, live: Any, report: Report) -> None:
    """What the server looks at later, when the predictions have arrived."""
    if list(whole.columns) != ["prediction"]:
        report.problem("pickle_columns", f"the columns are {list(map(str, whole.columns))}: it must be `prediction`")
    if whole.index.has_duplicates:
        report.problem("pickle_ids", "an id stands twice in what the function returned")
    elif set(whole.index) != set(live.index):
        lacking = len(set(live.index) - set(whole.index))
        report.problem("pickle_ids", f"{lacking} of {len(live)} ids are missing from the index of what it returned")
    for era, values in whole.iloc[:, 0].groupby(live["era"].reindex(whole.index)):
        if len(values) > 1 and values.nunique() == 1:
            report.problem("pickle_constant", f"all predictions of era {era} are {values.iloc[0]:g}")
            return


if __name__ == "__main__":
    main(sys.argv[1])
