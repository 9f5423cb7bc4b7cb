"""From log odds to the probability of a lesion."""
