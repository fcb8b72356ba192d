"""What is declared is what is imported, pinned as declared; private parts of libraries are known by name."""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from eraflow.kinds import ROWS
from tests.pins import PYTHONS, pins

ROOT = Path(__file__).parent.parent
PRODUCT = ("eraflow", "models", "tasks", "flows", "deployments")
OURS = {*PRODUCT, "tests", "benchmarks"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

TOOLS = {"pytest-timeout", "pytest-xdist", "ruff", "mypy", "types-requests", "types-psutil", "types-pyyaml"}
"""Of the extra dev: plugins and programs, which nothing imports."""

STORES = ("s3", "gcs")
"""Extras that bring the library of a store of models."""

BOUNDED = {"prefect", "lightgbm", "optuna", "mlflow", "numerapi"}
"""Libraries whose private parts, files or tables are used."""

PRIVATE = {
    "models/boosters/lightgbm_model.py: lightgbm.basic._ConfigAliases",
    "models/boosters/lightgbm_model.py: _ConfigAliases._get_all_param_aliases",
    "tasks/alert.py: block._build_request_args",
}
"""Every use of a private name of a library; why there is no other way is said where it stands."""

DOCUMENTED = {"os._exit"}
"""Begin with an underscore, and are public all the same: Python's documentation tells them."""


def declared(*extras: str) -> dict[str, Requirement]:
    """The distributions by name that pyproject.toml asks for: its dependencies (""), or those of extras."""
    lines = []
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = {canonicalize_name(asked.name): asked for asked in map(Requirement, lines)}
    found.pop("eraflow", None)
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files(*layers: str) -> Iterator[Path]:
    for layer in layers:
        yield from sorted((ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top level modules of others that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OURS


@cache
def distributions(module: str) -> frozenset[str]:
    """The distributions that bring a module."""
    return frozenset(map(canonicalize_name, _installed().get(module, [])))


@cache
def _installed() -> Mapping[str, list[str]]:
    return packages_distributions()


def undeclared(paths: Iterator[Path], known: dict[str, Requirement]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in paths
        for module in sorted(imported(path))
        if not distributions(module) & known.keys()
    ]


def unused(paths: Iterator[Path], known: dict[str, Requirement]) -> set[str]:
    used = {name for path in paths for module in imported(path) for name in distributions(module)}
    return known.keys() - used


def test_what_the_product_imports_is_declared_and_only_networks_and_stores_use_what_their_extras_bring():
    networks, stores = set(files("models/networks", "models/compression")), set(files("eraflow/tracking"))
    others = (path for path in files(*PRODUCT) if path not in networks | stores)
    assert undeclared(others, declared("")) == []
    assert undeclared(iter(sorted(networks)), declared("", "networks")) == []
    assert undeclared(iter(sorted(stores)), declared("", *STORES)) == []


def test_the_library_of_every_kind_of_model_is_declared_where_the_kind_says():
    for kind in ROWS:
        extra = kind.extra.partition("[")[2].rstrip("]")
        assert not kind.library or kind.library in declared(extra), kind.name


def test_what_tests_and_measurements_import_is_declared():
    assert undeclared(files("tests", "benchmarks"), declared("", "networks", *STORES, "dev")) == []


def test_what_is_declared_is_imported():
    assert unused(files(*PRODUCT), declared("")) == set()
    assert unused(files("models/networks"), declared("networks")) == set()
    assert unused(files("eraflow/tracking"), declared(*STORES)) == set()
    assert unused(files("tests", "benchmarks"), declared("dev")) == TOOLS


def test_no_dependency_is_declared_twice():
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        names = [canonicalize_name(Requirement(line).name) for line in lines]
        assert len(names) == len(set(names))
    assert not declared("").keys() & declared("networks", *STORES, "dev").keys()


def test_a_module_that_nobody_declares_and_a_dependency_that_nobody_imports_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "one.py").write_text("def late():\n    from numpy.linalg import norm\n    import psutil, os\n")
    known = {"numpy": Requirement("numpy"), "rich": Requirement("rich")}
    assert undeclared(iter([tmp_path / "one.py"]), known) == ["one.py: psutil"]
    assert unused(iter([tmp_path / "one.py"]), known) == {"rich"}


@pytest.mark.parametrize("name", sorted(BOUNDED))
def test_a_library_whose_private_parts_or_files_are_used_has_an_upper_bound(name):
    assert {"<", "=="} & {each.operator for each in declared("")[name].specifier}


def test_every_declared_dependency_is_pinned_within_its_bounds():
    pinned = {canonicalize_name(name): version for name, version in pins().items()}
    for name, asked in declared("", "networks", *STORES, "dev").items():
        assert name in pinned, name
        assert asked.specifier.contains(pinned[name], prereleases=True), f"{asked} is pinned to {pinned[name]}"


@cache
def needed() -> set[str]:
    """The distributions that are declared, and what these need, with any Python that is supported."""
    found: set[str] = set()
    waiting = list(declared("", "networks", *STORES, "dev").values())
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        key = f"{name}{sorted(asked.extras)}"
        if key in found:
            continue
        found |= {name, key}
        try:
            needs = map(Requirement, requires(name) or [])
        except PackageNotFoundError:  # another Python's
            continue
        waiting += [each for each in needs if _applies(each, asked.extras)]
    return found


def _applies(asked: Requirement, extras: set[str]) -> bool:
    if asked.marker is None:
        return True
    versions = [{"python_version": version, "python_full_version": f"{version}.0"} for version in PYTHONS]
    return any(asked.marker.evaluate({**version, "extra": extra}) for version in versions for extra in {"", *extras})


def test_nothing_is_pinned_that_nothing_needs_but_the_installer_itself():
    assert {name for name in pins() if canonicalize_name(name) not in needed()} == {"pip"}


def private_uses(path: Path) -> Iterator[str]:
    """Attributes and imports with a leading underscore that are not this file's own."""
    tree = parsed(path)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
        if isinstance(node, ast.Attribute) and _is_itself(node.value):
            own.add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own | OWN_ELSEWHERE:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "attrgetter"):
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from (ast.unparse(node) for text in texts if _is_private(text))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [f"{module}.{alias.name}" if module else alias.name for alias in node.names]
            yield from (name for name in names if any(map(_is_private, name.split("."))))


def _is_itself(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


OWN_ELSEWHERE = {
    node.name
    for path in files(*PRODUCT)
    for node in ast.walk(parsed(path))
    if isinstance(node, ast.FunctionDef) and _is_private(node.name)
}
"""Methods of our own classes, which another file of ours may ask for."""


def test_private_names_of_libraries_are_those_that_are_known():
    found = {f"{path.relative_to(ROOT)}: {use}" for path in files(*PRODUCT) for use in private_uses(path)}
    assert {use for use in found if use.partition(": ")[2] not in DOCUMENTED} == PRIVATE


def test_a_new_private_name_is_found(tmp_path):
    (tmp_path / "one.py").write_text(
        "import optuna\nfrom prefect._internal import thing\n"
        "class Own:\n    def act(self, study):\n        self._own = 1\n        getattr(study, '_storage')\n"
        "        return study._study_id, other._own\n"
    )
    assert list(private_uses(tmp_path / "one.py")) == [
        "prefect._internal.thing", "getattr(study, '_storage')", "study._study_id",
    ]  # fmt: skip
