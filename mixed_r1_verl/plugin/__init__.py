"""Everything that touches verl, vLLM and Hydra: entry points, reward manager, CPU platform, start-up checks."""
