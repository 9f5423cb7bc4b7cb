"""Scene to arrays and back, on any application with Slicer's core: imports slicer, vtk and numpy only.

Arrays are (k, j, i) in the volume's own frame, unhardened. World coordinates are RAS in mm with all parent
transforms applied.
"""


class SceneError(Exception):
    """What a user can understand and mend; the text is shown as it is."""
