"""ClamSegLib: lesion segmentation of CT, MR and X-ray slices learned from image labels.

The package knows images and networks and nothing of 3D Slicer. Importing it is cheap: torch, SimpleITK and
scipy are imported by the files that use them, never here. docs/explanation.md draws the rooms of the house.
"""

__version__ = "0.1.0"

RESEARCH_ONLY = "For research, not for diagnosis."
