"""Imports point one way: deployments -> flows -> tasks -> models -> eraflow; Prefect stays in tasks and flows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["eraflow", "models", "tasks", "flows", "deployments"]


def imported_packages(path: Path) -> set[str]:
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            packages.add(node.module.split(".")[0])
    return packages


@pytest.mark.parametrize("layer", LAYERS)
def test_no_layer_imports_one_above_it(layer):
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / layer).rglob("*.py")
        if (found := imported_packages(path) & (above | {"tests", "benchmarks"}))
    }
    assert wrong == {}


@pytest.mark.parametrize("layer", ["eraflow", "models"])
def test_prefect_is_known_only_to_tasks_and_flows(layer):
    wrong = [path for path in (ROOT / layer).rglob("*.py") if "prefect" in imported_packages(path)]
    assert wrong == []


def test_importing_a_stage_does_not_load_prefect():
    """The child of a stage must start quickly and must not carry Prefect's threads."""
    code = "import sys, models.training.train, models.prediction.predict, models.ensembles.blend;"
    code += "import eraflow.scoring.backtest, eraflow.machine.child;"
    code += "raise SystemExit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_file_shadows_a_library_or_hides_things_under_an_empty_name():
    forbidden = {
        "utils",
        "helpers",
        "common",
        "misc",
        "queue",
        "platform",
        "prefect",
        "lightgbm",
        "xgboost",
        "catboost",
    }
    names = {path.stem for layer in LAYERS for path in (ROOT / layer).rglob("*.py")}
    assert names & forbidden == set()


def test_every_package_is_in_the_wheel():
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for layer in ("eraflow", "models", "tasks", "flows")
        for path in (ROOT / layer).rglob("__init__.py")
    }
    assert listed == found
