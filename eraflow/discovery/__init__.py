"""Which features are associated with the target, whether that holds in every stretch of time, and how it drifts."""
