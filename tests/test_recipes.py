"""The recipes of ARCHITECTURE.md, followed to the letter on a copy of the tree; then what they promise is there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.test_readme import SMALL

STEP = re.compile(
    r"^\d+\. (?:(?P<what>Create|Append to) `(?P<path>[^`]+)`|"
    r"In `(?P<place>[^`]+)`, (?P<how>above|below|instead of) the line `(?P<line>[^`]+)`)[^\n]*:\n\n"
    r"(?P<block> {3}```.*?\n {3}```)",
    re.DOTALL | re.MULTILINE,
)
NUMBERED = re.compile(r"^\d+\. ", re.MULTILINE)


def recipe(name):
    """The text of a recipe, from its heading to the next."""
    document = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, _, rest = document.partition(f"### How to add a {name}\n")
    assert rest, f"there is no recipe for a {name}"
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


def copied(folder):
    """The tree as it is, without what it has made."""
    for name in ("eraflow", "models", "tasks", "flows", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def follow(text, tree):
    """Do every numbered step of a recipe, and nothing else; returns the files that were touched."""
    steps = list(STEP.finditer(text))
    assert len(steps) == len(NUMBERED.findall(text)) > 0, "a step of this recipe cannot be followed as it is written"
    for step in steps:
        block = "\n".join(line.removeprefix("   ") for line in step["block"].split("\n")[1:-1]) + "\n"
        path = tree / (step["path"] or step["place"])
        if step["what"] == "Create":
            assert not path.exists(), path
            path.write_text(block, encoding="utf-8")
        else:
            path.write_text(changed(path.read_text(encoding="utf-8"), step, block), encoding="utf-8")
    return {step["path"] or step["place"] for step in steps}


def changed(source, step, block):
    """The text of a file after one step."""
    if step["what"] == "Append to":
        return source + block
    lines = source.splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if line.rstrip("\n") == step["line"]]
    assert len(places) == 1, f"{step['place']} has {len(places)} lines {step['line']!r}"
    [at] = places
    apart = "\n\n" if block.startswith("def ") else ""
    before, after = {"above": (at, at), "below": (at + 1, at + 1), "instead of": (at, at + 1)}[step["how"]]
    return "".join([*lines[:before], block, apart, *lines[after:]])


def python(tree, *arguments, home=None):
    """Python in the copy; its modules come first, for its children too."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "ERAFLOW_HOME": str(home or tree / "home")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def is_clean(tree, touched):
    """Whether ruff and the table of rooms have nothing to say."""
    files = [path for path in touched if path.endswith(".py")]
    for check in (["ruff", "check", *files], ["ruff", "format", "--check", *files]):
        found = python(tree, "-m", *check)
        assert found.returncode == 0, found.stdout
    found = python(tree, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/test_layers.py")
    assert found.returncode == 0, found.stdout[-2_000:]


def test_a_model_is_added_and_keeps_the_promises_of_every_kind(tmp_path):
    """The contract suite takes it in by itself."""
    tree = copied(tmp_path)
    touched = follow(recipe("model"), tree)
    suite = ("tests/models/test_models.py", "-k", "extratrees")
    found = python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite)
    assert found.returncode == 0, found.stdout[-2_000:]
    assert int(re.search(r"(\d+) passed", found.stdout)[1]) > 20
    assert "extratrees" in python(tree, "-m", "flows.command.entry", "settings", "models.NAME.kind").stdout
    is_clean(tree, touched)


JUDGED = """
import json, sys
from datetime import UTC, datetime
from eraflow.gate.gate import judge
from eraflow.scoring.scoring import EraScores, ModelScores
from eraflow.settings.gate import GateSettings

eras = tuple(f"{number:04d}" for number in range(1, 101))
corr = EraScores(eras, tuple(0.02 + 0.01 * (number % 3 - 1) for number in range(100)))
scores = ModelScores("target_x_20", 20, 1000, 0, (), {"corr": corr}, {})
settings = GateSettings(min_sharpe=float(sys.argv[1]) if len(sys.argv) > 1 else None, bmc_bound=None)
verdict = judge(scores, champion=None, settings=settings, horizon_days=20, ensemble_signature="a", round_number=1,
                models_trained=1, models_wanted=1, now=datetime.now(UTC))
print(json.dumps({rule.name: rule.state for rule in verdict.rules}))
"""


def test_a_rule_is_added_and_judges(tmp_path):
    tree = copied(tmp_path)
    touched = follow(recipe("rule"), tree)
    states = [json.loads(python(tree, "-c", JUDGED, *asked).stdout) for asked in ((), ("0.5",), ("5",))]
    assert [found.get("sharpe") for found in states] == [None, "passed", "blocked"]
    assert "min_sharpe" in python(tree, "-m", "flows.command.entry", "settings", "gate.min_sharpe").stdout
    is_clean(tree, touched)


def test_a_blend_is_added_and_fits_the_table_and_the_settings(tmp_path):
    tree = copied(tmp_path)
    touched = follow(recipe("blend"), tree)
    table = "tests/models/ensembles/test_blends.py::test_the_settings_name_every_row_of_the_table_and_no_other"
    found = python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", table)
    assert found.returncode == 0, found.stdout[-2_000:]
    is_clean(tree, touched)


def test_a_verb_is_added_and_does_its_work(tmp_path):
    tree = copied(tmp_path)
    touched = follow(recipe("verb"), tree)
    (tree / "home" / "runs" / "20261128T120000-weekly").mkdir(parents=True)
    found = python(tree, "-m", "flows.command.entry", "rounds", "--json")
    assert json.loads(found.stdout) == {"runs": ["20261128T120000-weekly"]}, found.stderr
    is_clean(tree, touched)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_week_uses_what_was_added(tmp_path):
    """The rule is in the verdict, the blend is what the ensemble is and predicts by, the model is a member of it."""
    tree, home = copied(tmp_path / "tree"), tmp_path / "home"
    home.mkdir()
    for name in ("rule", "blend", "model"):
        follow(recipe(name), tree)
    chosen = ("gate.min_sharpe=0.1", "blend.method=zscore", "models=lightgbm,extratrees", "tracking.enabled=false")
    settings = [part for setting in (*SMALL.split(), *chosen) for part in ("--set", setting)]
    week = python(tree, "-m", "flows.command.entry", "run", "--profile", "sandbox", "--json", *settings, home=home)
    assert week.returncode == 0, week.stderr[-3_000:]
    record = json.loads(week.stdout.splitlines()[-1])
    assert record["outcome"] == "submitted"
    run_dir = Path(record["run_dir"])
    verdict = json.loads((run_dir / "gate" / "verdict.json").read_text(encoding="utf-8"))
    assert {"name": "sharpe", "passed": True}.items() <= next(
        rule for rule in verdict["rules"] if rule["name"] == "sharpe"
    ).items()
    ensemble = json.loads((run_dir / "blend" / "ensemble" / "ensemble.json").read_text(encoding="utf-8"))
    assert ensemble["method"] == "zscore"
    assert {member["kind"] for member in ensemble["members"]} == {"lightgbm", "extratrees"}


def test_a_recipe_that_cannot_be_followed_is_found(tmp_path):
    (tmp_path / "a.py").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="has 0 lines 'three'"):
        follow("1. In `a.py`, below the line `three`:\n\n   ```text\n   four\n   ```\n", tmp_path)
    with pytest.raises(AssertionError, match="as it is written"):
        follow("1. In `a.py`, somewhere:\n\n   ```text\n   four\n   ```\n", tmp_path)
    assert follow("1. In `a.py`, instead of the line `one`:\n\n   ```text\n   four\n   ```\n", tmp_path) == {"a.py"}
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "four\ntwo\n"
