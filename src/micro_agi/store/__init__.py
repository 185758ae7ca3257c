"""One owner of the state database. Start with `database.py`."""
