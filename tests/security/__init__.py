"""Tests of `micro_agi.security`."""
