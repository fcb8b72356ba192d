"""Keys and passwords of the environment go only to those processes that need them.

A flow needs Numerai's keys and what MLflow and Prefect ask for. The children that do its work (stages, the sandbox, the
servers it brings) need none of that, and what a process does not have it cannot write into a log, nor leave in a core
dump, nor give to a library that reads every variable it finds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# Everything of Numerai's; and by their names, whatever other programs keep in the environment.
_SECRET = re.compile(
    r"^NUMERAI_|PASSWORD|PASSWD|PASSPHRASE|(^|_)(SSH)?PASS$|_PWD$|SECRET|CREDENTIAL|AUTH_STRING|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY"
    r"|(^|_)(TOKEN|PAT|WEBHOOK|DSN)(_|$)|^ERAFLOW_PING_URL$|^MLFLOW_TRACKING_USERNAME$|CONNECTION_URL$",
    re.IGNORECASE,
)
# An address with a user's password or a token in it, as those of databases, proxies and package indexes have it.
_ADDRESS_WITH_ONE = re.compile(r"://[^/?#\s@]+@")
TRACKING = ("MLFLOW_", "AWS_", "AZURE_", "GOOGLE_")
"""Beginnings of the names that MLflow and the stores of its artifacts need."""
PREFECT = ("PREFECT_",)


def is_credential(name: str) -> bool:
    """Whether a variable of this name is one that holds a key, a password or an address with one."""
    return bool(_SECRET.search(name))


def names_one(value: str) -> bool:
    """Whether a value, whatever its name, is an address with a password in it."""
    return bool(_ADDRESS_WITH_ONE.search(value))


def without_credentials(environment: Mapping[str, str], needed: Sequence[str] = ()) -> dict[str, str]:
    """The environment for a child process, without keys and passwords.

    Args:
        environment: of this process.
        needed: beginnings of the names of variables that the child needs all the same.
    """
    kept = tuple(needed)
    return {
        name: value
        for name, value in environment.items()
        if not (is_credential(name) or names_one(value)) or (kept and name.startswith(kept))
    }
