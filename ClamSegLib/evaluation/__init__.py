"""Figures of a model against masks, boxes and labels, with baselines and pictures."""
