"""Imports point one way: the table of rooms, without exceptions; no circles; Prefect stays in tasks and flows."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["eraflow", "models", "tasks", "flows", "deployments"]
PRODUCT = LAYERS[:-1]

ROOMS = """
eraflow eraflow.errors eraflow.foreigntext
eraflow.ownkinds
eraflow.kinds
eraflow.disk
eraflow.settings
eraflow.machine
eraflow.data
eraflow.rows
eraflow.erastore
eraflow.numerai
eraflow.runs
eraflow.rehearsal
eraflow.sandbox
eraflow.scoring
eraflow.tracking
eraflow.discovery
eraflow.reports
eraflow.livescores
eraflow.gate
models
models.base
models.boosters models.networks models.own
models.compression
models.bags
models.kinds
models.training
models.search
models.ensembles
models.delivery
models.prediction
tasks.recovery
tasks.pages
tasks
flows
flows.command.terminal
flows.command.prefectserver
flows.command.starting
flows.command.doctor
flows.command.verbs
flows.command
"""
"""A room may import only rooms of the lines above its own; those of one line do not know each other."""

RANK = {room: rank for rank, line in enumerate(ROOMS.split("\n")) for room in line.split()}


@cache
def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name; a package by its own."""
    found = {}
    for layer in PRODUCT:
        for path in (ROOT / layer).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of the product that a module imports, wherever: at its top, inside functions, for types only."""
    known = modules()
    found = set()
    for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative name, which a search does not find"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in full}
    return frozenset(found & known.keys()) - {module}


def room_of(module: str) -> str | None:
    """The room with the longest name that holds the module; None where a package stands in no row."""
    name = module
    while name not in RANK and "." in name:
        name, _, _ = name.rpartition(".")
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    return name if name in RANK and (name == module or package in RANK) else None


def test_the_table_of_rooms_knows_every_package_and_no_other():
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    rooms = {room for room in RANK if room in packages}
    assert rooms == packages
    assert {room for room in RANK if room not in modules()} == set()
    assert [module for module in modules() if room_of(module) is None] == []


def test_a_room_imports_only_rooms_below_it():
    wrong = []
    for module in sorted(modules()):
        for other in sorted(imports(module)):
            here, there = room_of(module), room_of(other)
            if here != there and RANK[there] >= RANK[here]:
                wrong.append(f"{module} -> {other}")
    assert wrong == []


def test_no_files_import_each_other_in_a_circle():
    """Imports inside functions and those for types only count, too: a circle is one subject in several files."""
    assert circles({module: imports(module) for module in modules()}) == []


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module, by what each module reaches."""
    reached: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        waiting = list(graph[module])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting.extend(graph[other])
        reached[module] = seen
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in graph
        if module in reached[module]
    }
    return sorted(map(list, groups))


def test_a_circle_is_found():
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"}), "d": frozenset({"a"})}
    assert circles(graph) == [["b", "c"]]


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
    assert listed == {name for name, path in modules().items() if path.name == "__init__.py"}


def test_tests_mirror_the_tree():
    """A test file about one module has its name and lies where it lies; what is about more has a name of its own."""
    files = [path.relative_to(ROOT) for path in modules().values() if path.name != "__init__.py"]
    wrong = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        name = path.name.removeprefix("test_")
        homes = {file.parent for file in files if file.name == name and file.parts[:1] == folder.parts[:1]}
        if homes and folder not in homes:
            wrong.append(path.relative_to(ROOT).as_posix())
    assert wrong == []
