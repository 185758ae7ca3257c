"""What the requirement documents ask for, one entry a behaviour; split by document."""
