"""The `vllm.general_plugins` entry point: what vLLM needs, in its own processes, for verl's weight synchronisation."""

from types import ModuleType


def register() -> None:
    """Lay the patches of `plugin.seams` on vLLM. Safe to call again."""
    from vllm.platforms import current_platform

    from mixed_r1_verl.plugin import seams

    seams.install("vllm", cpu=current_platform.is_cpu())


def name_mapper_as_verl_does(utils: ModuleType) -> None:
    """verl asks for `get_unstacked_mapper`, which vLLM calls `get_rename_mapper` from 0.29 on: it renames only."""
    mapper = utils.WeightsMapper
    if not hasattr(mapper, "get_unstacked_mapper") and hasattr(mapper, "get_rename_mapper"):
        mapper.get_unstacked_mapper = mapper.get_rename_mapper
