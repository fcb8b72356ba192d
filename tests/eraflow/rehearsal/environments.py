"""The environment of a rehearsal, kept between test sessions: it takes a minute and 1.9 GB."""

import os
from functools import cache
from pathlib import Path

import pytest

from eraflow.rehearsal.environment import EnvironmentNotBuiltError, environment_python
from eraflow.rehearsal.interpreters import MissingInterpreterError
from eraflow.rehearsal.pins import pins_for
from eraflow.rehearsal.rehearsing import Stage

KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eraflow-tests"


BUILT = pytest.mark.timeout(1800)
"""For a module whose first test may build an environment, or wait while another process does."""


def interpreter(python):
    """The interpreter with Numerai's versions; a test that needs it is skipped where it cannot be had."""
    found = _built(python)
    if isinstance(found, str):
        pytest.skip(f"no environment for a rehearsal: {found}")
    return found


@cache
def _built(python):
    """Its path, or why it cannot be had; where pip reaches nothing that is found out once."""
    try:
        return environment_python(pins_for(python, KEPT / "none"), KEPT, print)
    except (EnvironmentNotBuiltError, MissingInterpreterError) as error:
        return str(error)


def stage(python="3.11", **over):
    """A small rehearsal by such an environment."""
    place = interpreter(python)
    usual = {"pins": pins_for(python, KEPT / "none"), "rows": 60, "width": 20, "eras": 0}
    return Stage(lambda folder, room: [str(place), "-I"], "an environment", **{**usual, **over})
