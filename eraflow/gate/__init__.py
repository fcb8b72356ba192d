"""The gate: rules, the verdict on one ensemble, and what may be sent."""
