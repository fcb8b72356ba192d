"""Files that appear whole or not at all, locks that end with their process, and whose a folder is."""
