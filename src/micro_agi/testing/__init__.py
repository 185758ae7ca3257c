"""Fakes that are part of the product: scripted model, clock, in-memory registry."""
