"""Where the packages of the wheel lie; name, version and dependencies stand in pyproject.toml."""

from setuptools import find_packages, setup

# `recipes/` and `data_preprocess/` stand at the top of the repository, where a verl user looks for them, and are
# installed inside the package's own namespace. `hydra_plugins` is Hydra's own namespace package for plugins.
PACKAGE_DIR = {
    "mixed_r1_verl": "mixed_r1_verl",
    "mixed_r1_verl.recipes": "recipes",
    "mixed_r1_verl.data_preprocess": "data_preprocess",
    "hydra_plugins": "mixed_r1_verl/plugin/hydra_plugins",
}

setup(
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
        "mixed_r1_verl.plan": ["*.yaml"],
        "mixed_r1_verl.audit": ["assets/*"],
        "mixed_r1_verl.rewards.answer": ["*.txt"],
        "mixed_r1_verl.rewards.similarity": ["english.json"],
        "mixed_r1_verl.report": ["assets/*"],
    },
)
