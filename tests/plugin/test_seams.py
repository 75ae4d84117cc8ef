"""The table of seams against the installed verl and vLLM, and the one way in which patches are laid on."""

import dataclasses
import importlib
import pickle
import re
from pathlib import Path

import cloudpickle
import fresh
import pytest

from mixed_r1_verl.plugin import seams
from mixed_r1_verl.plugin.seams import SEAMS, Seam, problem_of

REPOSITORY = Path(__file__).parent.parent.parent
RIGHT = next(seam for seam in SEAMS if seam.target.endswith("FileLogger.log"))


def run(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter, where nothing of verl is imported yet."""
    ran = fresh.run(code, **environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.target)
def test_the_installed_packages_are_as_expected(seam: Seam) -> None:
    assert problem_of(seam) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "verl.utils.tracking:FileLogger.logg"}, "verl.utils.tracking:FileLogger.logg: .*'logg'"),
        ({"target": "verl.utils.track:FileLogger.log"}, "verl.utils.track:FileLogger.log: No module named"),
        (
            {"parameters": "self, step, data"},
            r"FileLogger.log: takes \(self, data, step\), expected \(self, step, data",
        ),
        ({"parameters": "self, data"}, r"FileLogger.log: takes \(self, data, step\), expected \(self, data\)"),
        ({"reads": "stream"}, "FileLogger.log: no longer uses stream"),
        ({"wrapper": "tracking:log_lines"}, "FileLogger.log: .*log_lines"),
    ],
)
def test_what_was_renamed_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, str], message: str
) -> None:
    wrong = dataclasses.replace(RIGHT, **change)
    assert re.search(message, problem_of(wrong)) and "\n" not in problem_of(wrong)
    monkeypatch.setattr(seams, "SEAMS", (RIGHT, wrong))
    assert seams.main() == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [problem_of(wrong), "1 of 2 hold"]


def test_the_documented_table_is_current() -> None:
    assert seams.table() in (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.verl
def test_a_patch_survives_a_mere_look_for_its_module_and_a_second_registration() -> None:
    run(
        "import importlib.util, verl\n"
        "assert importlib.util.find_spec('verl.utils.tracking')\n"
        "from verl.utils.tracking import FileLogger\n"
        "once = FileLogger.log.__wrapped__; assert not hasattr(once, '__wrapped__')\n"
        "from mixed_r1_verl.plugin import verl_plugin; verl_plugin.register()\n"
        "assert FileLogger.log.__wrapped__ is once"
    )


def test_two_actions_on_one_module_both_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patched_later.py").write_text("def first(): return 1\ndef second(): return 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(seams, "_ours", lambda path: lambda wrapped, instance, args, kwargs: wrapped() + 10)
    for name in ("first", "second", "first"):
        seams.install("patched_later", False, [Seam(f"patched_later:{name}", "test", wrapper="a:b")])
    module = importlib.import_module("patched_later")
    assert (module.first(), module.second()) == (11, 12)
    seams.install("patched_later", False, [Seam("patched_later:first", "test", wrapper="a:b")])
    assert module.first() == 11
    assert pickle.loads(cloudpickle.dumps(module.first)) is module.first


@pytest.mark.verl
def test_a_patched_function_is_pickled_by_its_name_wherever_it_is_named() -> None:
    run(
        "import ray.cloudpickle as pickle, verl.utils, verl.utils.tokenizer as b, verl.utils.tokenizer.tokenizer\n"
        "assert verl.utils.hf_processor is b.hf_processor is b.tokenizer.hf_processor\n"
        "assert pickle.loads(pickle.dumps(b.hf_processor)) is b.hf_processor"
    )


@pytest.mark.verl
def test_patches_are_laid_on_in_processes_of_ray(cluster: None) -> None:
    import ray

    @ray.remote
    def patched() -> bool:
        from verl.utils.tracking import FileLogger

        return hasattr(FileLogger.log, "__wrapped__")

    assert ray.get(patched.remote(), timeout=120)


PATCHED_BESIDE_A_GPU = """
transformers.models.internvl.modeling_internvl:InternVLModel.forward
verl.experimental.reward_loop.reward_loop:RewardLoopManager._init_reward_loop_workers
verl.models.transformers.qwen2_vl:_get_input_embeds
verl.trainer.ppo.utils:create_rl_sampler
verl.trainer.ppo.v1.replay_buffer:ReplayBuffer._select_prompt_uids
verl.trainer.ppo.v1.replay_buffer:ReplayBufferAsync._has_enough_samples
verl.trainer.ppo.v1.trainer_base:PPOTrainer._compute_advantage
verl.trainer.ppo.v1.trainer_base:PPOTrainer._compute_metrics
verl.utils.tokenizer.tokenizer:hf_processor
verl.utils.tokenizer:hf_processor
verl.utils.tracking:FileLogger.__init__
verl.utils.tracking:FileLogger.log
verl.utils.tracking:_TensorboardAdapter.log
verl.utils:hf_processor
verl.workers.engine.fsdp.transformer_impl:FSDPEngine._build_fsdp_module
""".split()


@pytest.mark.verl
def test_what_is_patched_beside_an_accelerator_is_this_and_nothing_for_cpus_is_imported() -> None:
    """With a simulated accelerator: every module of every patch that can be imported is, in verl and in vLLM."""
    code = (
        "import contextlib, importlib, sys, verl, wrapt\n"
        "from mixed_r1_verl.plugin import seams, vllm_plugin; vllm_plugin.register()\n"
        "for seam in seams.SEAMS:\n"
        "    if seam.gpu and (seam.wrapper or seam.action): importlib.import_module(seam.module)\n"
        "    elif seam.wrapper:\n"
        "        with contextlib.suppress(Exception): importlib.import_module(seam.module)\n"
        "for module in ('rollout', 'rules', 'preflight', 'internvl', 'curves', 'advantages'):\n"
        "    importlib.import_module(f'mixed_r1_verl.plugin.{module}')\n"
        "print(*(seam.target for seam in seams.SEAMS if seam.wrapper and seam.module in sys.modules and isinstance(\n"
        "    wrapt.resolve_path(seam.module, seam.target.partition(':')[2])[2], seams._Patched)))\n"
        "print(*(name for name in sys.modules if name.startswith('mixed_r1_verl.plugin.cpu')))"
    )
    *_, patched, loaded, _ = run(code, VERL_PLATFORM="nvidia").split("\n")
    assert sorted(patched.split()) == PATCHED_BESIDE_A_GPU
    told = [line for line in seams.table().splitlines() if "| patched |" in line and ".verl_plugin" not in line]
    assert len(told) == len(PATCHED_BESIDE_A_GPU) + len([seam for seam in SEAMS if seam.gpu and seam.action])
    # a shim that a .pth file has started is not of the plugin's doing
    assert set(loaded.split()) <= {"mixed_r1_verl.plugin.cpu", "mixed_r1_verl.plugin.cpu.torchvision_ops"}


def test_the_supported_version_of_verl_stands_in_one_place() -> None:
    code = (REPOSITORY / "mixed_r1_verl").rglob("*.py")
    naming = {path.name for path in code if "0.9.1" in path.read_text(encoding="utf-8")}
    assert naming <= {"seams.py"}  # the version with which each seam was tested
