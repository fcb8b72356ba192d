"""Starting a flow from the terminal, and telling what came of it."""
