"""`python -m eraflow.sandbox --folder DIR --state-dir DIR`: the sandbox by itself.

With `--parent PID` it is somebody's child: it writes its address to stdout as JSON and ends with that process.
Without it, it serves until Ctrl-C (as `eraflow sandbox serve` does).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eraflow.errors import EraflowError
from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.process import run_child, serve
from eraflow.sandbox.server import make_app


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve; the exit code."""
    options = _parser().parse_args(arguments)
    spec = RoundSpec(**json.loads(options.round_json)) if options.round_json else RoundSpec(state=options.round)
    common: dict[str, Any] = {"version": options.version, "round_spec": spec, "models": options.model or ["eraflow"]}
    common["rehearsals"] = options.rehearsals
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # It pulls scikit-learn in, which the first submission would otherwise wait for.
    threading.Thread(target=_warm_up, daemon=True).start()
    try:
        if options.parent:
            run_child(lambda: make_app(options.folder, options.state_dir, **common), options.port, options.parent)
            return 0
        return serve(options.folder, options.state_dir, port=options.port, **common)
    except EraflowError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eraflow.sandbox", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder in tournament layout to serve (read only)")
    parser.add_argument("--state-dir", type=Path, required=True, help="where uploads and state are kept")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--version", default="v5.3", help="data set version under which the files are offered")
    parser.add_argument("--model", action="append", help="name of a model slot; may be repeated (default: eraflow)")
    parser.add_argument("--round", choices=("open", "closed"), default="open", help="is a round open?")
    parser.add_argument("--round-json", help="the round in full, as JSON of RoundSpec")
    parser.add_argument("--rehearsals", type=Path, help="environments in which uploaded models are run")
    parser.add_argument("--parent", type=int, help="end together with this process")
    return parser


def _warm_up() -> None:
    import numerai_tools.submissions  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
