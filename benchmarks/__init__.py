"""Measurements of the numbers in DESIGN 15; `python -m benchmarks`. Start with README.md."""
