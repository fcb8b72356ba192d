"""What Numerai does with an uploaded model, done here first: its Python, its libraries, its limits, its checks."""
