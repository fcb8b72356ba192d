"""What of a plan changes what is learnt, in words."""

from __future__ import annotations

from eraflow.machine.plan import Plan

LEARNING = ("rate_factor", "clip_norm", "precision", "work_factor")
AS_ASKED = "as asked"


def learning_plan(plan: Plan) -> str:
    """What of a plan changes what is learnt: "rate_factor 0.3, clip_norm 1.0"; "as asked" when nothing does."""
    usual, values = Plan().as_dict(), plan.as_dict()
    changed = [f"{name} {values[name]}" for name in LEARNING if values[name] != usual[name]]
    return ", ".join(changed) or AS_ASKED
