"""From clicks of a reader to the outline of one lesion."""
