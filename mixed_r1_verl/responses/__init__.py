"""Responses: generated, read, scored, kept and summed up.

`mixed-r1 eval` and `mixed-r1 score`, the data engine's difficulty stage and the evaluation of tiny models are one job
in different order. `generate` asks a model in vLLM, `read` finds responses in files, `join` finds the rows of the data
that they answer, `answers` scores them with all cores and keeps them, `summary` says what each source and reward
earned.
"""
