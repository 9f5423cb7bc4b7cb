#!/bin/sh
# tifffile writes a boolean mask so that every other reader and viewer shows its negative.
#
# Versions:  tifffile 2026.3.3, Pillow 13.0.0, SimpleITK 2.5.7, numpy 2.4.6, Python 3.11 on Linux.
# Input:     a boolean array of 20 x 24 pixels, 24 of them True, given to tifffile.imwrite without options.
# Expected:  a bilevel picture whose marked pixels are the bright ones, as Pillow writes the same array.
# Behaviour: the file says PhotometricInterpretation 0, white is zero: what is True is black. tifffile.imread does not look at
#            that tag and gives the array back, so whoever writes and reads with tifffile never notices; Pillow, ITK (SimpleITK,
#            Slicer) and viewers follow the tag and mark the other 456 pixels. No error, no warning. uint8 masks are not touched.
# Who is hit: outlines saved as boolean TIFF (also through programs that write with tifffile), then read by anything else: the
#            lesion is everything but the lesion.
# Output seen on 2026-11-30:
#   drawn 24, photometric 0
#   tifffile reads 24
#   Pillow reads 456
#   SimpleITK reads 456
#   Pillow writes photometric 1, and reads 24
# Ends with 0 while this is so, with 1 where it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    tifffile==2026.3.3 pillow==13.0.0 SimpleITK==2.5.7 numpy==2.4.6
cd "$folder"
environment/bin/python - 2>messages <<'PYTHON_END' | tee seen
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image

mask = np.zeros((20, 24), bool)
mask[5:9, 6:12] = True
tifffile.imwrite("mask.tif", mask)
print(f"drawn {mask.sum()}, photometric {int(tifffile.TiffFile('mask.tif').pages[0].photometric)}")
print(f"tifffile reads {tifffile.imread('mask.tif').sum()}")
print(f"Pillow reads {np.asarray(Image.open('mask.tif')).sum()}")
pixels = sitk.GetArrayFromImage(sitk.ReadImage("mask.tif"))
print(f"SimpleITK reads {np.count_nonzero(pixels[..., 0] if pixels.ndim == 3 else pixels)}")
Image.fromarray(mask).save("pillow.tif")
kind = int(tifffile.TiffFile("pillow.tif").pages[0].photometric)
print(f"Pillow writes photometric {kind}, and reads {np.asarray(Image.open('pillow.tif')).sum()}")
PYTHON_END
printf '%s\n' "drawn 24, photometric 0" "tifffile reads 24" "Pillow reads 456" "SimpleITK reads 456" \
    "Pillow writes photometric 1, and reads 24" >expected
if ! diff expected seen; then
    cat messages >&2
    echo "This has changed." >&2
    exit 1
fi
