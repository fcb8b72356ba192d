"""Numerai keys: from the environment, or from a Prefect Secret block. Never from a file in the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from prefect.blocks.system import Secret

from eraflow.errors import EraflowError


class MissingKeysError(EraflowError):
    """There are no Numerai keys. Set the two environment variables or save the Secret block."""

    code = "missing_keys"
    exit_code = 2


def numerai_keys(block_name: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The pair (public id, secret key).

    Raises:
        MissingKeysError: neither the environment nor the block `block_name` has both.
    """
    pair = environment.get("NUMERAI_PUBLIC_ID", ""), environment.get("NUMERAI_SECRET_KEY", "")
    if all(pair):
        return pair
    found = _from_block(block_name)
    if found is None:
        raise MissingKeysError(
            f"no Numerai keys: NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY are not set and there is no usable Secret "
            f"block {block_name!r}",
            "create a key at numer.ai (Account, API keys) and set both variables, or save the block with the value "
            '{"PUBLIC_ID": "...", "SECRET_KEY": "..."}; to try without keys use --profile sandbox',
        )
    return found


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
