"""What a training step learns from: pairs, augmentation, batches, losses."""
