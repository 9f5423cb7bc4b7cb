"""A fine-tuning as every front plans, starts and follows it: nothing here knows Qt, a browser or the scene."""
