"""Review of a result: lesion table, decisions, drawing, slice labels, export."""
