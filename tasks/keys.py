"""Numerai keys: from the environment, or from a Prefect Secret block. Never from a file in the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from prefect.blocks.system import Secret

from eraflow.numerai.keys import keys_in, no_keys


def numerai_keys(block_name: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The pair (public id, secret key).

    Raises:
        MissingKeysError: neither the environment nor the block `block_name` has both.
    """
    found = keys_if_any(block_name, environment)
    if found is None:
        raise no_keys(block_name)
    return found


def keys_if_any(block_name: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """The same, or None: data are public, and only who sends needs keys."""
    return keys_in(environment) or _from_block(block_name)


def _from_block(name: str) -> tuple[str, str] | None:
    try:
        value: Any = Secret.load(name).get()  # type: ignore[union-attr]
    except ValueError:  # Prefect's word for "no such block"
        return None
    if isinstance(value, str):
        value = _parse(value)
    public, secret = value.get("PUBLIC_ID", ""), value.get("SECRET_KEY", "")
    return (public, secret) if public and secret else None


def _parse(text: str) -> dict[str, str]:
    try:
        parsed = json.loads(text)
    except ValueError:
        public, _, secret = text.partition("$")
        return {"PUBLIC_ID": public, "SECRET_KEY": secret}
    return parsed if isinstance(parsed, dict) else {}
