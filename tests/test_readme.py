"""The README is for a stranger: short, with pictures, and every command in it does what it says.

A command that is new in the README must be put into the table here, or the test fails.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from eraflow.numerai.keys import PUBLIC, SECRET
from flows.command.cli import parser
from tests.documents import ROOT
from tests.test_documents import fenced, text, verbs

BIN = Path(sys.executable).parent
ERAFLOW = [sys.executable, "-m", "flows.command.entry"]

RUNS, PARSED, MAKE, SHELL = "really run", "parsed: it needs a person, a server, keys or hours", "make", "shell"
COMMANDS = {
    "make run": MAKE,
    "make test": MAKE,
    "source .venv/bin/activate": SHELL,
    "eraflow ui": PARSED,
    "eraflow ui --mlflow": PARSED,
    "export NUMERAI_PUBLIC_ID=... NUMERAI_SECRET_KEY=...": SHELL,
    "eraflow doctor": PARSED,
    "eraflow run --profile laptop --set submit.model=YOUR_MODEL --dry-run": PARSED,
    "eraflow server --mlflow": PARSED,
    'eval "$(eraflow server --print-env)"': SHELL,
    "prefect worker start --pool eraflow --type process": SHELL,
    "eraflow go-live": PARSED,
    "eraflow run --profile sandbox --set windows.folds=2 --set models=lightgbm,catboost --json": RUNS,
    "eraflow settings windows": RUNS,
    "eraflow run --profile sandbox --set models=lightgbm,./mine.py:Ridge --set models.ridge.params.penalty=30": RUNS,
}

SMALL = (
    "sandbox.train_eras=120 sandbox.validation_eras=80 sandbox.rows_per_era=150 sandbox.features=20 sandbox.signal=3 "
    "gate.bmc_bound=-1"
)
"""Generated data of a size that is trained on in seconds. Its few eras certify CORR, and BMC not: that is not asked."""


def commands():
    """Every command of the README, without its comment."""
    return [re.sub(r"\s+# .*$", "", line) for line in fenced("README.md")]


def run(arguments, folder, **more):
    """`eraflow ARGUMENTS` in a folder, with a home of its own there: away from this checkout's."""
    outer = {name: value for name, value in os.environ.items() if name != "PREFECT_HOME"}  # of a test in this process
    environment = {**outer, "ERAFLOW_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*ERAFLOW, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, **more
    )


def made_by(target):
    """The commands that make would run for a target."""
    dry = ["make", "-n", target, f"PYTHON={sys.executable}"]
    return subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_it_is_short_and_its_lines_are():
    lines = text("README.md").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) >= 120] == []


def test_it_has_a_picture_of_the_ui_and_one_of_a_result():
    pictures = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", text("README.md"))
    assert len(pictures) >= 2
    for picture in pictures:
        content = (ROOT / picture).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 200_000


def test_every_command_is_known_here_and_every_one_known_here_is_there():
    assert set(commands()) == set(COMMANDS)


def test_every_verb_is_in_its_table_and_no_other():
    assert set(re.findall(r"^\| `eraflow ([a-z-]+)` \|", text("README.md"), re.MULTILINE)) == set(verbs())


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("eraflow ")])
def test_the_command_understands_it(command):
    parser().parse_args(shlex.split(command)[1:])


def test_make_run_is_a_week_on_the_sandbox_and_make_test_is_everything():
    assert any(line.endswith("eraflow run --profile sandbox ") for line in made_by("run"))
    checks = "\n".join(made_by("test"))
    assert all(tool in checks for tool in ("ruff check .", "ruff format --check .", "mypy", "-m pytest"))


def test_the_keys_are_read_from_these_variables():
    [export] = [command for command in COMMANDS if command.startswith("export ")]
    assert re.findall(r"(\w+)=", export) == [PUBLIC, SECRET]


def test_the_environment_has_both_commands():
    assert all((BIN / name).exists() for name in ("activate", "eraflow", "prefect"))


def test_what_is_evaluated_tells_prefect_where_the_history_is(tmp_path):
    found = run(["server", "--print-env"], tmp_path)
    assert found.returncode == 0, found.stderr
    script = f"{found.stdout}\necho $PREFECT_HOME"
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.strip() == str(
        tmp_path / "home" / "prefect"
    )


def test_the_worker_is_started_on_the_pool_of_the_deployments():
    [start] = [command for command in COMMANDS if command.startswith("prefect worker start")]
    pool = shlex.split(start)[shlex.split(start).index("--pool") + 1]
    assert re.search(rf"pool: &pool\n    name: {pool}\n", text("prefect.yaml"))
    help_text = subprocess.run([BIN / "prefect", *shlex.split(start)[1:], "--help"], capture_output=True, check=True)
    assert b"--type" in help_text.stdout


def test_the_setting_that_is_asked_for_is_told(tmp_path):
    assert "windows.folds" in run(["settings", "windows"], tmp_path).stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "command", ["make run", *(one for one, how in COMMANDS.items() if how == RUNS and " run " in one)]
)
def test_a_week_on_the_sandbox_really_runs(command, tmp_path):
    """As it stands, on data of a size for seconds; `make run` by the command that make gives."""
    if command == "make run":
        [line] = [line for line in made_by("run") if "eraflow run" in line]
        command = f"eraflow {line.partition('eraflow ')[2]}"
    sizes = [part for setting in SMALL.split() for part in ("--set", setting)]
    [model] = re.findall(r"^```python\n(.*?)^```", text("README.md"), re.DOTALL | re.MULTILINE)
    (tmp_path / "mine.py").write_text(model, encoding="utf-8")
    week = run([*shlex.split(command)[1:], "--json", *sizes], tmp_path, timeout=800)
    assert week.returncode == 0, week.stderr[-3_000:]
    record = json.loads(week.stdout.splitlines()[-1])
    assert record["outcome"] == "submitted"
    assert ("ridge" in record["scores"]) == ("mine.py" in command)
