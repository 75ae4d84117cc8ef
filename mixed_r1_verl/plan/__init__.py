"""`mixed-r1 plan`: what a recipe needs on the GPUs that one has, before any of them is paid for."""

from mixed_r1_verl.core.config import ConfigError


class PlanError(ConfigError):
    """The recipe, the model, the data or the numbers cannot be planned with."""
