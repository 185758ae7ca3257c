"""The tools of the local agent: what entries of namespace `local` run. Start at `module.py`."""
