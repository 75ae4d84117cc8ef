"""A real TransferQueue, and one training step's responses in it, as verl's agent loop leaves them."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def queue() -> Iterator[None]:
    """Ray and TransferQueue, started once."""
    import ray
    import transfer_queue as tq
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=["+recipe=mixed_r1_cpu"])
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    tq.init(config.transfer_queue)
    yield
    tq.close()
    ray.shutdown()
