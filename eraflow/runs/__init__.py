"""What a run leaves behind: stage folders with manifests, its record, and how it goes on after a kill."""
