"""Micro AGI: an agent runtime whose agents write, check and load their own tools.

Start reading at `api.py` (what embedders call) or `cli.py` (what people type).
"""
