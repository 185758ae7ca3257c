"""A project: what is being worked on, over many sessions. Start with `state.py`."""
