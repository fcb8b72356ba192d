"""Small weeks for tests: settings that go through every stage in seconds, and a receiver of alerts."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eraflow.settings.run import RunSettings, merge

TINY = {
    "profile": "sandbox",
    "sandbox": {"train_eras": 90, "validation_eras": 50, "rows_per_era": 80, "features": 16, "signal": 3.0},
    "windows": {"folds": 2},
    "models": [{"kind": "lightgbm", "params": {"n_estimators": 30, "learning_rate": 0.1}}],
    "round": {"wait_minutes": 0.05, "poll_seconds": 0.2},
    "source": {"kind": "sandbox", "attempts": 2, "call_seconds": 10},
    "machine": {"threads": 1, "memory_mb": 1500},
    "selection": {"importance_rows": 0},
    "tracking": {"enabled": False},
    # A tiny week proves the road, not the model: only the rules that the test is about are left on.
    "gate": {
        "corr_bound": -1.0,
        "bmc_bound": -1.0,
        "mmc_floor": None,
        "max_exposure": None,
        "max_drawdown": None,
        "recent_eras": None,
        "max_feature_corr": None,
        "max_lead": None,
        "max_overfit": None,
    },
}


def tiny(home, **changes):
    """Settings of a tiny week in `home`, with nested changes."""
    return RunSettings(**merge({**TINY, "home": str(home)}, changes))


class Receiver:
    """What arrived at a loopback address, as parsed JSON."""

    def __init__(self, url, messages):
        self.url = url
        self.messages = messages


@contextmanager
def receiver(status=200):
    """A receiver of webhooks on 127.0.0.1."""
    messages = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Receiver(f"http://127.0.0.1:{server.server_port}/", messages)
    finally:
        server.shutdown()
        server.server_close()
