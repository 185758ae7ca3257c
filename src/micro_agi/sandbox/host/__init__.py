"""Host calls: effects that the parent performs for a worker. Start with `calls.py`."""
