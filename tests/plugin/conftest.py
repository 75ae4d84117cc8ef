"""A real Ray cluster and a real TransferQueue, started once."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    import ray

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def queue(cluster: None) -> Iterator[None]:
    import transfer_queue as tq
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=["+recipe=mixed_r1_cpu"])
    tq.init(config.transfer_queue)
    yield
    tq.close()
