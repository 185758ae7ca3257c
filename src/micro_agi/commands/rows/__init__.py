"""The rows of `commands/table.py`, by what the commands are about."""
