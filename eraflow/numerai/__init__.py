"""The tournament's API: one client with deadlines, checked downloads, uploads that are read back, submissions."""
