"""The search for parameters of the boosters: spaces, objective, trials, the shared study, and what is kept of it."""
