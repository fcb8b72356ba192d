"""Draws a made-up run on its terminal: `python -m tests.flows.command.terminal.drawing SECONDS`."""

import sys
import time

from eraflow.runs.onlookers import News, looking_on, tell
from flows.command.terminal.pace import Pace
from flows.command.terminal.screen import Screen

STEPS = ["refresh", "features", "train-lightgbm", "train-catboost-residual-on-a-long-name", "blend", "submit"]


def main():
    screen = Screen("Eraflow: a week, profile laptop, target_ender_60, data from Numerai", STEPS, Pace({}))
    screen.note("log", "/home/somebody/with a long path/" + "runs/" * 30)
    with screen, looking_on(screen.news):
        tell(News("refresh", "finished", seconds=2.0))
        tell(News("features", "failed", label="oom"))
        end = time.monotonic() + float(sys.argv[1])
        screen.say("WARNING " + "everybody should see this word by word " * 4, above=True)
        while (left := end - time.monotonic()) > 0:
            done = 1 - left / float(sys.argv[1])
            tell(
                News("train-lightgbm", fraction=done, label="lightgbm fold 1 of 5 (63 of 200 trees)", seconds_left=left)
            )
            tell(News("train-lightgbm", memory_mb=1000 * done, budget_mb=2000.0))
            time.sleep(0.05)
    print("the summary takes its place")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
