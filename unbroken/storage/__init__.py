"""What lies on disk: files that are whole or not there, values that name them, events, and who may write."""
