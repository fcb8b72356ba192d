"""Whether the Prefect server is there at all, asked before anything that a run can do without."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from prefect.settings import PREFECT_API_URL

from eraflow.machine.loopback import is_loopback

CONNECT_SECONDS = 2.0


def server_listens() -> bool:
    """False where the server of this computer listens no more: Prefect itself would ask it for more than a minute.

    A server that is just being started again is there: its socket is held meanwhile. Of servers elsewhere nothing is
    known without asking.
    """
    parts = urlsplit(str(PREFECT_API_URL.value() or ""))
    if not is_loopback(parts.hostname or "") or parts.port is None:
        return True
    try:
        socket.create_connection((str(parts.hostname), parts.port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
