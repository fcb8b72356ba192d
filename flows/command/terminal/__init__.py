"""What a person sees in the terminal: words, tables, the live view, the log."""
