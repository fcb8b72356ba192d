"""One row a kind of model, in strings and numbers only: what every room needs to know of it without importing it."""
