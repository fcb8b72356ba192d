"""A child begins light, with the planned threads."""

from __future__ import annotations

import os

from tests.eraflow.machine.isolated import isolated


def test_child_starts_light_with_the_planned_threads(tmp_path):
    names = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MALLOC_ARENA_MAX", "MINE"]
    kwargs = {"names": names, "plan": {"threads": 3}}
    value = isolated("environment", tmp_path, kwargs=kwargs, env={"MINE": "yes"}).value
    assert value["env"] == {
        "OMP_NUM_THREADS": "3",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_ARENA_MAX": "2",
        "MINE": "yes",
    }
    assert value["heavy"] == []
    assert value["cwd"] == os.getcwd()
