"""The pinned versions can be installed with every Python that pyproject.toml allows."""

import re
import subprocess
import tomllib

import pytest

from tests.pins import PIP, PYTHONS, ROOT, compiled, pins, without_wheel

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def index():
    """pip's index, when there is one that answers."""
    asked = subprocess.run(
        [*PIP, "--timeout", "5", "--retries", "0", "index", "versions", "pip"], capture_output=True, check=False
    )
    if asked.returncode != 0:
        pytest.skip("pip's index does not answer")


def test_the_newest_python_has_a_wheel_of_every_compiled_package_that_eraflow_names(index):
    """The others are one wheel for all, or come with these; `make pins` asks for everything and every Python."""
    required = " ".join([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["networks"]])
    named = set(re.findall(r"([a-z-]+)(?:\[|[=<>])", required))
    names = sorted(named & set(compiled(pins())))
    assert {"numpy", "lightgbm", "catboost", "pyarrow", "scipy", "torch"} <= set(names)
    assert without_wheel(PYTHONS[-1], names) == []


def test_a_pin_without_a_wheel_is_found_and_named(index, monkeypatch):
    """Versions that were made before that Python was; one of another package beside them is there."""
    old = {"numpy": "1.26.4", "six": "1.17.0", "pandas": "1.5.3", "torch": "2.0.0"}
    monkeypatch.setattr("tests.pins.pins", lambda: old)
    assert without_wheel(PYTHONS[-1]) == ["torch==2.0.0", "numpy==1.26.4", "pandas==1.5.3"]


def test_no_supported_python_is_locked_out():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    told = [line.rpartition(" ")[2] for line in PROJECT["classifiers"]]
    assert told == list(PYTHONS)


def test_torch_comes_with_the_extra_of_the_networks_alone():
    assert "torch==2.13.0" in PROJECT["optional-dependencies"]["networks"]
    assert not any(requirement.startswith("torch") for requirement in PROJECT["dependencies"])
