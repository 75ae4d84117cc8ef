"""Hydra recipes, on the search path as `pkg://mixed_r1_verl.recipes`; use one with `+recipe=NAME`."""
