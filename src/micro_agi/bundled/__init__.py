"""Data only: the default app, the runtime's own entries, the documentation."""
