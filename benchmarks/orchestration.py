"""How much of a week is not the stages' own work: starting Prefect, the flow, the tasks, the children.

python -m benchmarks.orchestration                  a sandbox week, from the command to its end
python -m benchmarks.orchestration --run-dir DIR    the same figures for a run that was made before
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEN_MINUTES = 600.0


def main(argv: list[str]) -> int:
    """Print the seconds of every stage, what is left, and its share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", help="a finished run (default: make one)")
    arguments = parser.parse_args(argv)
    if arguments.run_dir:
        record = json.loads((Path(arguments.run_dir) / "record.json").read_text())
        show(record, float(record["seconds"]), "inside the flow")
        return 0
    with tempfile.TemporaryDirectory() as home:
        record, wall = sandbox_week(home)
    show(record, wall, "from the command to its end")
    return 0


def sandbox_week(home: str) -> tuple[dict, float]:
    """One week on generated data in a process of its own; its record and wall seconds."""
    command = [sys.executable, "-m", "flows.command.entry", "run", "--profile", "sandbox", "--home", home, "--json"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1]), wall


def show(record: dict, wall: float, what: str) -> None:
    """The table and the share."""
    work = sum(stage["seconds"] for stage in record["stages"].values())
    for name, stage in record["stages"].items():
        print(f"{name:<24}{stage['seconds']:>9.1f} s")
    rest = wall - work
    print(f"{'all stages':<24}{work:>9.1f} s")
    print(f"{what}: {wall:.1f} s; not a stage's own work: {rest:.1f} s, {rest / wall:.1%} of this run")
    print(f"the same seconds in a run of ten minutes: {rest / TEN_MINUTES:.1%} (aim: at most 5 %)")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
