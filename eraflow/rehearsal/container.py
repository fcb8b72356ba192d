"""The official image in the place of an environment of ours, where Docker is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from eraflow.rehearsal.confinedrun import Room

IMAGE = "ghcr.io/numerai/numerai_predict_py_{}:stable"
"""As numerai/numerai-predict names them; {} is 3_11 for Python 3.11."""
ASK_SECONDS = 20


def docker_answers() -> bool:
    """Whether a Docker daemon is there, and this user may ask it."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def image_of(python: str) -> str:
    """The image for a Python such as 3.11."""
    return IMAGE.format(python.replace(".", "_"))


def container_command(python: str, folder: Path, room: Room) -> list[str]:
    """The interpreter of the image in a container that sees one folder, one processor and no network."""
    return [
        *("docker", "run", "--rm", "--network", "none", "--cpus", "1"),
        *("--memory", f"{room.memory_mb:.0f}m", "--memory-swap", f"{room.memory_mb:.0f}m"),
        *("--user", f"{os.getuid()}:{os.getgid()}", "--env", f"HOME={folder}", "--env", f"TMPDIR={folder}"),
        *("--volume", f"{folder}:{folder}", "--workdir", str(folder), "--entrypoint", "python"),
        *(image_of(python), "-I"),
    ]
