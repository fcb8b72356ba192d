"""Numerai's keys, as far as they can be looked for without Prefect: before a server is started for a run."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from eraflow.errors import EraflowError

PUBLIC, SECRET = "NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY"
_BLOCK = """
    select 1 from block_document join block_type on block_type.id = block_document.block_type_id
    where block_type.slug = 'secret' and block_document.name = ? limit 1
"""


class MissingKeysError(EraflowError):
    """There are no Numerai keys. Set the two environment variables or save the Secret block."""

    code = "missing_keys"
    exit_code = 2


def keys_in(environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """The pair (public id, secret key) of the environment, or None where it does not have both."""
    pair = environment.get(PUBLIC, ""), environment.get(SECRET, "")
    return pair if all(pair) else None


def no_keys(block: str) -> MissingKeysError:
    """The error of a run that has to send and finds no keys."""
    return MissingKeysError(
        f"no Numerai keys: {PUBLIC} and {SECRET} are not set and there is no usable Secret block {block!r}",
        "create a key at numer.ai (Account, API keys) and set both variables, or save the block with the value "
        '{"PUBLIC_ID": "...", "SECRET_KEY": "..."}; to try without keys use --dry-run or --profile sandbox',
    )


def may_hold_block(database: Path, block: str) -> bool:
    """Whether Prefect's database may hold a Secret block of this name; one that cannot be asked may."""
    if not database.is_file():
        return False
    address = f"{database.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=2.0)) as connection:
            return connection.execute(_BLOCK, (block,)).fetchone() is not None
    except sqlite3.Error:  # at work, of another version, or damaged: Prefect itself tells
        return True
