"""Command lines and settings without keys, passwords and private addresses: what may be written down of them.

Settings refuse what holds a password where they know of it; a command line is typed by hand, and what stands there is
written into files that people show each other. So whatever may be a secret goes, by its name or by its form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eraflow.machine.credentials import is_credential

REMOVED = "***"
PRIVATE_KEYS = ("alert.ping_url",)
"""Settings whose value alone lets others act in one's name, whatever it looks like."""
_USER_OF_ADDRESS = re.compile(r"(://)[^/?#\s@]+@")
_REST_OF_ADDRESS = re.compile(r"(https?://(?!127\.0\.0\.1|localhost|\[::1\])[^/?#\s]+)[/?#]\S+")
_LEAST_LENGTH = 6
"""A shorter value of a variable may stand in a text by chance."""


def scrubbed_command(command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """A command line, argument by argument, in which no secret is left.

    Gone are: the values of options and assignments whose name is that of a credential, passwords in addresses, what
    follows the host of an address elsewhere (webhooks carry their token there), and whatever the environment holds
    under a credential's name.

    Args:
        command: as it was typed, the program first.
        environment: of this process; None: `os.environ`.
    """
    secrets = _secrets(os.environ if environment is None else environment)
    kept: list[str] = []
    for argument in command:
        previous = kept[-1] if kept else ""
        of_option = previous.startswith("-") and "=" not in previous and _is_private(previous.lstrip("-"))
        kept.append(REMOVED if of_option and not argument.startswith("-") else _scrubbed(argument, secrets))
    return kept


def scrubbed_values(value: Any, environment: Mapping[str, str] | None = None) -> Any:
    """JSON values in which every text is scrubbed, and what stands under a credential's name is gone."""
    secrets = _secrets(os.environ if environment is None else environment)

    def clean(name: str, one: Any) -> Any:
        if isinstance(one, Mapping):
            return {key: clean(str(key), under) for key, under in one.items()}
        if isinstance(one, list | tuple):
            return [clean(name, under) for under in one]
        if not isinstance(one, str) or not one:
            return one
        return REMOVED if _is_private(name) else _without(one, secrets)

    return clean("", value)


def _scrubbed(argument: str, secrets: Sequence[str]) -> str:
    name, sign, value = argument.partition("=")
    if sign and value and _is_private(name.lstrip("-").strip()):
        return f"{name}={REMOVED}"
    return _without(argument, secrets)


def _is_private(name: str) -> bool:
    """Whether a setting, option or variable of this name holds a secret; `source.keys_block` only names a place."""
    last = name.rpartition(".")[2].replace("-", "_")
    return name in PRIVATE_KEYS or is_credential(last)


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REMOVED)
    return _REST_OF_ADDRESS.sub(rf"\1/{REMOVED}", _USER_OF_ADDRESS.sub(rf"\1{REMOVED}@", text))


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """The longest first, as one may be a part of another."""
    found = {value for name, value in environment.items() if is_credential(name) and len(value) >= _LEAST_LENGTH}
    return sorted(found, key=len, reverse=True)
