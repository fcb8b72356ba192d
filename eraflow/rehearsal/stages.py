"""Where a model is rehearsed on this computer: in the official image where Docker is there, else in an environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eraflow.rehearsal.container import container_command, docker_answers, image_of
from eraflow.rehearsal.environment import environment_python, rehearsal_folder
from eraflow.rehearsal.pins import pins_for
from eraflow.rehearsal.rehearsing import Stage


def stage_for(python: str, home: Path, say: Callable[[str], None], *, docker: bool = True, **chosen: Any) -> Stage:
    """The place for a rehearsal under a Python such as 3.11; an environment is built where it is not there yet.

    Args:
        python: of the image.
        home: the home folder, where environments are kept.
        say: told what takes time.
        docker: use it where it is there.
        chosen: other fields of `Stage`.

    Raises:
        UnknownPythonError, MissingInterpreterError, EnvironmentNotBuiltError: there is no such place.
    """
    pins = pins_for(python, rehearsal_folder(home))
    if docker and docker_answers():
        return Stage(
            lambda folder, room: container_command(pins.python, folder, room),
            image_of(pins.python),
            pins,
            contained=True,
            **chosen,
        )
    interpreter = environment_python(pins, home, say)
    return Stage(
        lambda folder, room: [str(interpreter), "-I"], "an environment of the image's versions", pins, **chosen
    )
