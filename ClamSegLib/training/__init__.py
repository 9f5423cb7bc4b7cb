"""From a labelled folder to a model folder."""
