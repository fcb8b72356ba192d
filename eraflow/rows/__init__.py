"""The rows of any file, whatever its form, a tile of one era at a time."""
