"""What a run leaves behind: stage folders with manifests, the int8 era store, and tracking."""
