#!/bin/sh
# Slicer's vtkSegmentation answers IsSharedBinaryLabelmap with the opposite of what is asked.
#
# Versions:  slicer-core 5.12.4.0 (the library of 3D Slicer as a Python package), numpy 2.4.6, Python 3.11 on Linux (5.11.0.6 does the same).
# Input:     two segmentations of two segments each, binary labelmaps of 10 x 10 x 10: in one both segments lie in the same labelmap with
#            values 1 and 2, in the other each has its own. GetNumberOfLayers counts 1 and 2 labelmaps.
# Expected:  its documentation says that it returns true if the binary labelmap is shared: true for the first, false for the second.
# Behaviour: false for segments that share their labelmap, true for segments that lie alone. No error, no warning.
# Who is hit: extensions that ask before they write into the voxels of a segment. They separate what is separate already, and where
#            two segments do share a labelmap they write into the other segment's as well. GetSegmentIDsSharingBinaryLabelmapRepresentation
#            answers rightly, and so does comparing the images of the segments.
# Output seen on 2026-11-30, with PYTHON unset:
#   one labelmap of two segments: layers 1, shared False False
#   two labelmaps:                layers 2, shared True True
# Ends with 0 while this is so, with 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check slicer-core==5.12.4.0 numpy==2.4.6
cd "$folder"
environment/bin/python - <<'PYTHON_END' | tee seen
import slicer
import vtk

LABELMAP = "Binary labelmap"


def labelmap(*runs):
    """10 x 10 x 10 voxels with a value in some columns of a row."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(10, 10, 10)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(0)
    for value, columns in runs:
        for column in columns:
            image.SetScalarComponentFromDouble(column, 3, 3, 0, value)
    return image


def told(words, *segments):
    """What a segmentation says of segments given by value and image."""
    data = slicer.vtkSegmentation()
    data.SetSourceRepresentationName(LABELMAP)
    for name, (value, image) in zip("ab", segments):
        segment = slicer.vtkSegment()
        segment.AddRepresentation(LABELMAP, image)
        segment.SetLabelValue(value)
        data.AddSegment(segment, name)
    shared = [data.IsSharedBinaryLabelmap(name) for name in "ab"]
    print(f"{words} layers {data.GetNumberOfLayers()}, shared {shared[0]} {shared[1]}")


both = labelmap((1, range(2, 4)), (2, range(6, 8)))
told("one labelmap of two segments:", (1, both), (2, both))
told("two labelmaps:               ", (1, labelmap((1, range(2, 4)))), (1, labelmap((1, range(3, 5)))))
PYTHON_END
printf '%s\n' "one labelmap of two segments: layers 1, shared False False" \
    "two labelmaps:                layers 2, shared True True" >expected
if ! diff expected seen; then
    echo "This has changed." >&2
    exit 1
fi
