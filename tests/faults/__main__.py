"""The chaos suite as a command: `python -m tests.faults --moments 25`, or `make chaos`."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import chaos as chaos_suite
from tests.faults.chaos import HEAD, Chaos, Told

WITHOUT_SERVER = ("child", "flow", "flow SIGTERM")


def draw(rng: random.Random, with_worker: bool) -> str:
    """A victim: the worker's are rarer, for a reboot costs minutes of waiting."""
    weights = {"child": 8, "flow": 12, "flow SIGTERM": 2, "worker": 2, "flow@worker": 2, "reboot": 1}
    chosen = {name: weight for name, weight in weights.items() if with_worker or name in WITHOUT_SERVER}
    return rng.choices(list(chosen), list(chosen.values()))[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=chaos_suite.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moments", type=int, default=25)
    parser.add_argument("--seed", type=int, default=None, help="of the moments and victims; printed when not given")
    parser.add_argument("--folder", type=Path, default=None, help="where the weeks run; kept when something breaks")
    parser.add_argument("--without-worker", action="store_true", help="no server and worker: child and flow only")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="eraflow-chaos-"))
    rng = random.Random(seed)
    chaos = Chaos(folder)
    print(f"seed {seed}; the undisturbed week takes {chaos.seconds:.1f} s, CSV sha256 {chaos.sha256}", flush=True)
    print(HEAD, flush=True)
    with killers(chaos, with_worker=not arguments.without_worker) as kill:
        broken = sum(not survived(chaos, rng, kill, index) for index in range(arguments.moments))
    print(f"{arguments.moments - broken} of {arguments.moments} moments ended with the undisturbed bytes", flush=True)
    if not broken and arguments.folder is None:
        shutil.rmtree(folder)
    return 1 if broken else 0


Kill = Callable[[str, float], Told]


@contextmanager
def killers(chaos: Chaos, with_worker: bool) -> Iterator[dict[str, Kill]]:
    """What kills which victim at which moment."""
    kill: dict[str, Kill] = {
        # A week has no stage in its first and last seconds.
        "child": lambda name, moment: chaos.kill_child(name, 0.7 * moment),
        "flow": chaos.kill_flow,
        "flow SIGTERM": lambda name, moment: chaos.kill_flow(name, moment, signal.SIGTERM),
    }
    if not with_worker:
        yield kill
        return
    from tests.faults.workerchaos import VICTIMS, WorkerChaos

    workers = WorkerChaos(chaos)
    try:
        for victim in VICTIMS:
            kill[victim] = lambda name, moment, victim=victim: workers.kill(name, victim, moment)
        yield kill
    finally:
        workers.close()


def survived(chaos: Chaos, rng: random.Random, kill: dict[str, Kill], index: int) -> bool:
    """One moment, told in one line."""
    moment, victim = rng.uniform(0, chaos.seconds), draw(rng, "reboot" in kill)
    try:
        print(kill[victim](f"m{index:03d}", moment).row(), flush=True)
    except Exception as failure:  # noqa: BLE001 - whatever breaks is one line of the table, and the next moment follows
        where = chaos.folder / f"m{index:03d}"
        print(f"{moment:8.1f}  {victim:14}BROKEN (kept in {where}): {type(failure).__name__} {failure}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
