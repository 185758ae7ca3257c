"""Run code that nobody trusts. Start with `pool.py`."""
