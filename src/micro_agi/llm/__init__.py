"""Models and how to talk to them. Start with `gateway.py`."""
