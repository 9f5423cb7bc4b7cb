"""Labelled folders, their rows and crops, a reader's corrections, the dataset check."""
