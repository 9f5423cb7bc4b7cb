#!/bin/sh
# Pillow scrambles an uncompressed TIFF that its orientation tag calls turned, when it is opened by its name.
#
# Versions:  Pillow 13.0.0, numpy 2.4.6, Python 3.11 on Linux (11.3.0 and 12.0.0 do the same; 10.4.0 is right).
# Input:     a grey TIFF of 6 rows and 4 columns in one uncompressed strip with Orientation (tag 274) 6, which Pillow writes
#            itself: valid, and what film scanners write.
# Expected:  the picture turned by a quarter, 4 rows and 6 columns, as Pillow gives for orientations 1 to 4, for compressed
#            files, and for the same bytes opened as a file object.
# Behaviour: orientations 5 to 8 give 6 rows and 4 columns in which no row and no column of the picture stands together:
#            the pixels are mapped from the file with the sides already exchanged, and then turned. No error, no warning.
# Who is hit: anybody who reads such X-rays or masks with Image.open(path); values and histogram stay right, so nothing shows
#            it but the picture.
# Output seen on 2026-11-30, with PYTHON unset:
#   orientation 6, by name:   (6, 4) scrambled
#   orientation 6, as object: (4, 6) right
#   orientation 6, deflated:  (4, 6) right
#   orientation 3, by name:   (6, 4) right
# Ends with 0 while this is so, with 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cd "$folder"
environment/bin/python - <<'PYTHON_END' | tee seen
import numpy as np
from PIL import Image

picture = np.arange(24, dtype=np.uint8).reshape(6, 4)


def told(name, words, turned, as_object=False):
    with open(name, "rb") as file, Image.open(file if as_object else name) as image:
        array = np.asarray(image)
    print(f"{words} {array.shape} {'right' if np.array_equal(array, turned) else 'scrambled'}")


def save(name, orientation, **options):
    image = Image.fromarray(picture)
    tags = image.getexif()
    tags[274] = orientation
    image.save(name, exif=tags, **options)


save("raw6.tif", 6)
save("raw3.tif", 3)
save("deflated6.tif", 6, compression="tiff_deflate")
quarter = np.rot90(picture, -1)
told("raw6.tif", "orientation 6, by name:  ", quarter)
told("raw6.tif", "orientation 6, as object:", quarter, as_object=True)
told("deflated6.tif", "orientation 6, deflated: ", quarter)
told("raw3.tif", "orientation 3, by name:  ", np.rot90(picture, 2))
PYTHON_END
printf '%s\n' "orientation 6, by name:   (6, 4) scrambled" "orientation 6, as object: (4, 6) right" \
    "orientation 6, deflated:  (4, 6) right" "orientation 3, by name:   (6, 4) right" >expected
if ! diff expected seen; then
    echo "This has changed." >&2
    exit 1
fi
