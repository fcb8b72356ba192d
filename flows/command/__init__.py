"""The command `eraflow`: its verbs, and what they share."""
