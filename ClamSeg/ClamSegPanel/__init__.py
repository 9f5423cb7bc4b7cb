"""The panel: one file per section of the window, and what a section knows in files without Qt."""
