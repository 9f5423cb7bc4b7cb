"""The two kinds of process behind the panel: the inference worker, and trainings that outlive Slicer."""
