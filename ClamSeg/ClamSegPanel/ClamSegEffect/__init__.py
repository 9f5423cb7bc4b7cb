"""The effect of the Segment Editor; Slicer knows it by the name of this folder and of the file in it."""
