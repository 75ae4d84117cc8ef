"""Hydra search-path plugin: makes `+recipe=NAME` find this package's recipes.

Installed as `hydra_plugins.mixed_r1_verl`, because Hydra looks for plugins in that namespace package and nowhere else.
It depends on nothing but Hydra, so that the recipes are found even where verl itself does not import.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class MixedR1SearchPathPlugin(SearchPathPlugin):
    """Appends the recipes to Hydra's search path, behind the user's own configuration directories."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="mixed-r1-verl", path="pkg://mixed_r1_verl.recipes")
