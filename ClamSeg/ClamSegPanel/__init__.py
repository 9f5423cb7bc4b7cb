"""The panel: one file per section of the window; what it decides on stands in ClamSegWorkflow.case and ClamSegWorkflow.training."""
