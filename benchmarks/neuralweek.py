"""The neural half of a laptop's week at Numerai's true size, in hours, on six cores and with a GPU of 12 GB.

    python -m benchmarks.neuralweek
    python -m benchmarks.neuralweek --cores 2 --set windows.folds=8 --set models.gatv2.params.updates=400

Nothing is trained here. Hours are those by which a run decides before its start which members it leaves out
(models/training/hours.py): measured steps of one core (`python -m benchmarks.networkgrowth`) times rows, features,
windows and updates of the settings. Memory is what the plan is made from (eraflow/machine/estimate.py). Assumed, not
measured: that several cores share the work at nine tenths, and that a GPU trains as fast as twenty cores. No GPU was at
hand, so its hours and its memory are computed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from eraflow.kinds import KINDS
from eraflow.machine.estimate import MIB, Estimate, Need, fitting
from eraflow.machine.plan import Plan
from eraflow.settings.models import ModelSettings
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from models.kinds import held_weights, thread_bytes
from models.training.datasize import DataSize, data_size
from models.training.hours import GPU_CORES, SHARED, Means, member_hours

ROWS_AN_ERA = 5_700
"""Of Numerai's later eras; what a piece holds where batches are whole eras."""
VRAM_MB = 12_288


def planned(model: ModelSettings, size: DataSize, *, cores: int, gpu: bool, budget_mb: int) -> tuple[Plan, Estimate]:
    """The plan that a stage would begin with, and its memory."""
    cost = KINDS[model.kind].cost
    held = thread_bytes(model.kind, model.params, ROWS_AN_ERA) / MIB
    need = Need(
        model.kind,
        rows=size.rows,
        columns=size.columns,
        eras=size.rows // ROWS_AN_ERA,
        judged=round(0.6 * size.rows),
        weights=held_weights(model.kind, [model.params], size.columns),
        cost=replace(cost, thread_mb=cost.thread_mb + held),
    )
    first = Plan(threads=cores, device="cuda" if gpu else "cpu")
    return fitting(need, first, budget_mb=budget_mb, vram_mb=VRAM_MB if gpu else None)


def show(settings: RunSettings, size: DataSize, cores: int) -> None:
    """A line a network, then the sums: of all, and of those of the profile."""
    sums = dict.fromkeys(("all", "profile"), (0.0, 0.0))
    profile = {model.name for model in RunSettings(profile=settings.profile).models}
    print(f"{'network':<14}{'cores, h':>10}{'MiB':>8}{'GPU, h':>10}{'MiB':>8}{'VRAM MiB':>10}{'rows at once':>14}")
    for model in settings.models:
        if not KINDS[model.kind].neural:
            continue
        hours = [member_hours(model, size, settings, Means(cores, gpu)) or 0.0 for gpu in (False, True)]
        budget = settings.machine.memory_mb or 12_000
        (_, held), (plan, graphic) = (
            planned(model, size, cores=cores, gpu=gpu, budget_mb=budget) for gpu in (False, True)
        )
        print(
            f"{model.name:<14}{hours[0]:>10.2f}{held.ram_mb:>8,.0f}{hours[1]:>10.2f}{graphic.ram_mb:>8,.0f}"
            f"{graphic.vram_mb:>10,.0f}{plan.batch_rows:>14,}"
        )
        for name in ("all", *(["profile"] if model.name in profile else [])):
            sums[name] = sums[name][0] + hours[0], sums[name][1] + hours[1]
    print(f"{'all':<14}{sums['all'][0]:>10.2f}{'':>8}{sums['all'][1]:>10.2f}")
    print(f"of {settings.profile:<11}{sums['profile'][0]:>10.2f}{'':>8}{sums['profile'][1]:>10.2f}")


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=6)
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    settings = settings_from(given.profile, {}, ["models=all", *given.set])
    size = data_size(settings)
    if size is None:
        parser.error("the size of these data is not known before they are downloaded")
    print(
        f"{size.rows:,} rows x {size.columns:,} features, {settings.windows.folds} windows; {given.cores} cores, "
        f"without a GPU and with one of {VRAM_MB:,} MiB\nassumed: a core of several does {SHARED:g} of its work, a GPU "
        f"that of {GPU_CORES} cores; computed from steps that were measured"
    )
    show(settings, size, given.cores)


if __name__ == "__main__":
    main()
