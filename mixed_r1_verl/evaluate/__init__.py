"""`mixed-r1 eval`: validation of a checkpoint over parquet files, through vLLM and the rewards of training."""
