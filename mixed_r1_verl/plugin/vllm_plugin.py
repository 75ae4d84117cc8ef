"""The `vllm.general_plugins` entry point: what vLLM needs, in its own processes, for verl's weight synchronisation."""

import logging
from types import ModuleType

logger = logging.getLogger(__name__)


def register() -> None:
    """Have the patches of `plugin.seams` laid on vLLM's modules when they are imported. Safe to call again.

    vLLM calls this in every process of every program, before it has looked for a platform; an exception would end them.
    """
    try:
        from mixed_r1_verl.plugin import device, seams

        seams.install("vllm", device.cpu_is_wanted())
    except Exception:
        logger.exception("mixed-r1-verl could not plug into vLLM; `mixed-r1 doctor` says what to do")


def name_mapper_as_verl_does(utils: ModuleType) -> None:
    """verl asks for `get_unstacked_mapper`, which vLLM calls `get_rename_mapper` from 0.29 on: it renames only."""
    mapper = utils.WeightsMapper
    if not hasattr(mapper, "get_unstacked_mapper") and hasattr(mapper, "get_rename_mapper"):
        mapper.get_unstacked_mapper = mapper.get_rename_mapper
