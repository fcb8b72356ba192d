"""The dead man's switch: an address that is called after each submission, so that silence is noticed somewhere else.

Services such as healthchecks.io or a server of one's own raise the alarm when the call does not come. Whoever knows the
address can keep it silent: it is a secret, and appears in no settings, no log and no message.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from prefect.blocks.system import Secret

VARIABLE = "ERAFLOW_PING_URL"
ATTEMPTS = 3
CALL_SECONDS = 10.0  # of one attempt, however slowly it answers
PAUSE_SECONDS = 2.0


def ping(block: str | None, logger: Any) -> bool:
    """Call the address that the Secret block, or else the environment, holds; a failure is a warning and costs nothing.

    Args:
        block: `secret/NAME`, or None: the address is in $ERAFLOW_PING_URL, or nobody is to be called.
        logger: of the flow run.
    """
    address = address_of(block)
    if address is None:
        if block is not None:
            logger.warning("the dead man's switch was not called: there is no Secret block %s with an address", block)
        return False
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        fault = call(address)
        if fault is None:
            logger.info("the dead man's switch was called")
            return True
    logger.warning("the dead man's switch was not called (%s, %d attempts): it will raise the alarm", fault, ATTEMPTS)
    return False


def address_of(block: str | None) -> str | None:
    """The address, from a block or from the environment; None where there is none."""
    if block is None:
        return os.environ.get(VARIABLE) or None
    try:
        value = Secret.load(block.removeprefix("secret/")).get()  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001 - no such block, another kind of value, no server: there is no address
        return None
    return value if isinstance(value, str) and value else None


def call(address: str) -> str | None:
    """One GET; None when it was answered well, else what went wrong in words without the address."""
    if not address.lower().startswith(("http://", "https://")):
        return "its address is not one of http or https"
    faults: list[str | None] = []
    thread = threading.Thread(target=lambda: faults.append(_get(address)), daemon=True)
    thread.start()
    thread.join(CALL_SECONDS)  # an answer that drips byte by byte would never run into a socket's own time limit
    return faults[0] if faults else f"no answer within {CALL_SECONDS:g} s"


def _get(address: str) -> str | None:
    try:
        with urllib.request.urlopen(address, timeout=CALL_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the address
        reason = getattr(error, "reason", None)
        return type(reason if isinstance(reason, Exception) else error).__name__
