"""What `eraflow doctor` looks at on the way to the tournament: the keys and the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from eraflow.errors import EraflowError
from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from flows.command.doctor.examine import Finding, judged

CLOCK_SECONDS = 60.0  # rounds open at noon and are polled; a minute costs nothing, an hour costs the round
TIMEOUT_SECONDS = 3.0
API_SECONDS = 10.0
NEEDED = "needed to submit to Numerai; the sandbox needs none"


def examine_tournament(url: str | None, keys_block: str, *, server: bool, online: bool) -> Iterator[Finding]:
    """Keys, then clock.

    Args:
        url: address of the API; None is Numerai itself.
        keys_block: Secret block that holds the keys when the environment does not.
        server: whether a Prefect server can be asked for that block.
        online: ask the API with the keys.
    """
    found = keys(keys_block, server=server)
    yield found[0]
    if online and found[1] is not None:
        yield keys_online(url, *found[1])
    yield clock(url)


def keys(block: str, *, server: bool) -> tuple[Finding, tuple[str, str] | None]:
    """Where the keys are, and the keys. What is printed never holds them."""
    names = "NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY"
    pair = os.environ.get(names[0], ""), os.environ.get(names[1], "")
    if all(pair):
        return Finding("numerai keys", "ok", "both variables are set"), pair
    half = [name for name, value in zip(names, pair, strict=True) if value]
    if half:
        return Finding("numerai keys", "warning", f"only {half[0]} is set", f"set the other one too; {NEEDED}"), None
    stored = _stored(block) if server else None
    if stored is not None:
        return Finding("numerai keys", "ok", f"in the Secret block {block}"), stored
    looked = f"and there is no usable Secret block {block}" if server else "and no Prefect server to ask for a block"
    remedy = f"set both, or save the Secret block {block} with PUBLIC_ID and SECRET_KEY; {NEEDED}"
    return Finding("numerai keys", "warning", f"{' and '.join(names)} are not set, {looked}", remedy), None


def _stored(block: str) -> tuple[str, str] | None:
    from eraflow.numerai.keys import MissingKeysError
    from tasks.keys import numerai_keys

    try:
        return numerai_keys(block, {})
    except MissingKeysError:
        return None


def keys_online(url: str | None, public_id: str, secret_key: str) -> Finding:
    """What the API says to the keys."""
    try:
        endpoint = Endpoint(url, public_id, secret_key)
        models = Tournament(endpoint, call_seconds=API_SECONDS, attempts=1).models()
    except EraflowError as error:
        return Finding("keys online", "failed", error.problem.replace(secret_key, "***"), error.remedy)
    names = ", ".join(sorted(models)[:5])
    return judged(
        "keys online", bool(models), f"accepted; models: {names or 'none'}", "create a model slot at numer.ai"
    )


def clock(url: str | None) -> Finding:
    """This computer's clock against the `Date` that the API's server sends with any answer."""
    address = Endpoint(url).name
    began = time.time()
    try:
        answer = httpx.head(address, timeout=TIMEOUT_SECONDS)
        told = parsedate_to_datetime(answer.headers["date"])
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError) as error:
        remedy = "check the network and the proxy; look at the clock yourself (timedatectl)"
        return Finding("clock", "warning", f"{address} told no time ({type(error).__name__})", remedy)
    middle = datetime.fromtimestamp((began + time.time()) / 2, UTC)
    ahead = (middle - told.astimezone(UTC)).total_seconds()
    found = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {address}"
    remedy = "set the clock (timedatectl set-ntp true): schedules and round windows depend on it"
    return Finding("clock", "ok", found) if abs(ahead) <= CLOCK_SECONDS else Finding("clock", "failed", found, remedy)
