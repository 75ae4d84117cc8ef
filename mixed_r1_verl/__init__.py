"""Mixed-R1 for verl."""
