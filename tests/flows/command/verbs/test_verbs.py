"""Each verb is a file with its arguments beside it; the command only composes them."""

import argparse
import importlib
import pkgutil
import subprocess
import sys

from flows.command import cli, verbs

HEAVY = {
    "prefect",
    "numpy",
    "scipy",
    "polars",
    "pyarrow",
    "lightgbm",
    "xgboost",
    "catboost",
    "torch",
    "mlflow",
    "rich",
    "pydantic",
}


def test_every_file_that_adds_a_verb_is_in_the_list():
    files = [
        importlib.import_module(f"{verbs.__name__}.{found.name}") for found in pkgutil.iter_modules(verbs.__path__)
    ]
    assert {file.__name__ for file in files if hasattr(file, "add")} == {verb.__name__ for verb in cli.VERBS}


def test_a_file_adds_the_verb_of_its_name():
    for module in cli.VERBS:
        parser = argparse.ArgumentParser()
        added = parser.add_subparsers()
        module.add(added)
        name = module.__name__.rpartition(".")[2]
        assert [verb.replace("-", "") for verb in added.choices] == [name]


def test_the_help_of_the_command_loads_nothing_heavy():
    code = "import sys; from flows.command.cli import parser; parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert HEAVY & set(done.stdout.split()) == set()
