"""Models of the user's own: a class from a file or an installed package, made a model like Eraflow's."""
