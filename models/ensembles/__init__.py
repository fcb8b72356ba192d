"""How members become one prediction, and the folder that holds them."""
