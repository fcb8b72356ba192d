"""The variables that tell numerical libraries how many threads to use, and what is wrong with them.

polars ends with a panic at its first file when it is told 0 threads or a million; others ignore what they cannot read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from eraflow.errors import SettingsError

# Every one of these libraries takes all cores of the host unless it is told, even in a container with two.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
NESTED = "OMP_NUM_THREADS"  # may be a list: a number for each level of threads within threads
UNLIMITED = "RAYON_NUM_THREADS"  # 0 stands for all cores
MOST_THREADS = 4096
SHOWN = 40


class ThreadSettingError(SettingsError):
    """A variable of the environment asks a library for a number of threads that it cannot have."""

    code = "thread_setting"


def check_threads(environment: Mapping[str, str] = os.environ) -> None:
    """Look at all variables; an empty one counts as not set.

    Raises:
        ThreadSettingError: naming the first that is no number of threads.
    """
    for name in THREAD_VARIABLES:
        value = environment.get(name, "").strip()
        if not value:
            continue
        parts = value.split(",") if name == NESTED else [value]
        if not all(_is_count(part.strip(), least=0 if name == UNLIMITED else 1) for part in parts):
            shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
            raise ThreadSettingError(
                f"the environment has {name}={shown!r}, which is no number of threads from 1 to {MOST_THREADS}",
                f"unset {name}, or set it to a whole number",
            )


def _is_count(text: str, *, least: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= MOST_THREADS
