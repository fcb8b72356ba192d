"""The stage that trains one model: out of fold on every window, then once on everything for live."""
