"""Look into data files of any size. Start with `view.py`."""
