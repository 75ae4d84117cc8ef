"""Task balance on verl's own trainer method and TransferQueue, without a training run."""
