"""`mixed-r1 plan`: what a recipe needs on the GPUs that one has, before any of them is paid for.

| file | subject |
| --- | --- |
| `architecture.py` | a model's parameters, shape by shape, from its `config.json` |
| `published.yaml` | the published configurations of the recipes' models |
| `settings.py` | what of a composed recipe decides memory and time |
| `gpus.py` | memory, peak rate and bandwidth of GPUs |
| `data.py` | image and prompt tokens of a data file |
| `memory.py` | bytes per GPU in each phase of a step, and the KV cache |
| `batch.py` | prompts, rollouts, mini and micro batches, and verl's rules for them |
| `steptime.py` | seconds of each stage of a step |
| `plan.py` | all of that for one recipe, and what to change when it does not fit |
| `cli.py` | the command and its table |
"""

from mixed_r1_verl.core.config import ConfigError


class PlanError(ConfigError):
    """The recipe, the model, the data or the numbers cannot be planned with."""
