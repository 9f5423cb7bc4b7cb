"""Reading single pictures: PNG and JPEG by ITK, TIFF by Pillow, turned and toned as every viewer shows them.

ITK's TIFF reader falls back to eight bits for tiles and does not look at the photometric interpretation; neither of its
readers looks at the orientation that cameras and scanners write. But it lets the decoders speak, which Pillow does not:
what they complain about is refused in their own words, because they fill with grey what they could not decode.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ClamSegLib.imaging.png_parts import check_png
from ClamSegLib.imaging.tiff_parts import STRICT, check_parts, compression_of
from ClamSegLib.imaging.volume import Array, Volume, inverted
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.silence_c_output import complaint, one_line, suppress_itk_output

if TYPE_CHECKING:
    from PIL import Image

TIFF_ENDINGS = (".tif", ".tiff")
# More pixels than any detector has belong to damaged headers.
_LARGEST_PIXELS = 500_000_000
_ORIENTATION = 274
# Number of the tag that says which way a picture lies -> how its rows and columns are put upright.
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1), 8: np.rot90,
}  # fmt: skip
_ENDS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
_BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT, _TILES = 258, 262, 277, 339, 322
_WHITE_IS_ZERO, _SIGNED = 0, 2


def read_picture(path: Path) -> Volume:
    """A single picture as a one-slice volume without known spacing.

    Args:
        path: PNG, JPEG or TIFF.

    Raises:
        InputError: damaged, several pictures in one file, colour, transparency, or a kind that would lose bits.
    """
    array = _read_tiff(path) if path.suffix.lower() in TIFF_ENDINGS else _read_upright(path)
    return picture_volume(_grey(path, array))


def picture_volume(array: Array) -> Volume:
    """A single picture (row, column) as a one-slice volume without known spacing."""
    windowed = array.dtype == np.uint8
    return Volume(array[np.newaxis], spacing_known=False, already_windowed=windowed, is_picture=True)


def _read_upright(path: Path) -> Array:
    """PNG and JPEG, (row, column) or (row, column, channel), as its orientation tag says."""
    array = _by_itk(path)
    _check_whole(path)
    if path.suffix.lower() == ".png":
        check_png(path)
    turn = _UPRIGHT.get(_orientation(path))
    return array if turn is None else np.ascontiguousarray(turn(array))


def _orientation(path: Path) -> int:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a picture whose tags Pillow cannot read has none that any viewer follows
        return 1


def _by_itk(path: Path) -> Array:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with suppress_itk_output() as said:
            reader.ReadImageInformation()
            size = list(reader.GetSize())
            if np.prod([float(s) for s in size]) > _LARGEST_PIXELS:
                raise InputError(f"{path} claims {' x '.join(map(str, size))} pixels; its header is damaged.")
            image = reader.Execute()
    except RuntimeError as error:
        _refuse_complaints(path, said)
        if "Unknown PixelType" in str(error):
            raise InputError(
                f"{path} has grey values with transparency, which are not read; save it as plain grey."
            ) from error
        raise _unreadable(path, one_line(error)) from error
    _refuse_complaints(path, said)
    if image.GetDimension() == 3 and image.GetSize()[2] == 1:
        image = image[:, :, 0]
    if image.GetDimension() != 2:
        raise _several(path, image.GetSize()[2])
    array: Array = sitk.GetArrayFromImage(image)
    return array


def _refuse_complaints(path: Path, said: list[str]) -> None:
    """Refuses a picture whose decoder said that it could not decode all of it."""
    if words := complaint([line.removeprefix(f"{path}: ") for line in said]):
        raise _unreadable(path, words)


def _check_whole(path: Path) -> None:
    """PNG and JPEG say where they end; their libraries fill what is missing with grey and only warn."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        if _ENDS[path.suffix.lower()] not in file.read():
            raise InputError(f"{path} is truncated; copy or export it again.")


def _read_tiff(path: Path) -> Array:
    """(row, column) or (row, column, channel) with all bits the file has, white bright, upright."""
    from PIL import Image, UnidentifiedImageError

    said: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not by its name: Pillow would map the file, and a picture that lies on its side comes out scrambled.
            with suppress_itk_output() as said, path.open("rb") as file, Image.open(file, formats=["TIFF"]) as image:
                count = int(getattr(image, "n_frames", 1))
                if count > 1:
                    raise _several(path, count)
                values = _tiff_values(path, image)
                tags: Any = getattr(image, "tag_v2", {})
                packed = compression_of(tags)
                check_parts(path, file, tags)  # behind the picture: libtiff speaks of what it is asked for here
        if packed not in STRICT:
            _hear(path)
        return values
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is no TIFF, a damaged one, or one of a kind that is not read (its values or its compression); save it as "
            "plain grey of 8 or 16 bits."
        ) from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        _refuse_complaints(path, said)
        raise _unreadable(path, " ".join(str(error).replace(str(path), "").split())[:120]) from error


def _hear(path: Path) -> None:
    """Has ITK decode a TIFF too, for what libtiff says meanwhile; whether ITK reads this kind of TIFF is no matter."""
    import SimpleITK as sitk

    with suppress_itk_output() as said, suppress(RuntimeError):
        sitk.ReadImage(str(path), imageIO="TIFFImageIO")
    _refuse_complaints(path, said)


def _tiff_values(path: Path, image: Image.Image) -> Array:
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow gives the tag as it stands: one number for all channels, or one each.
    bits, kind = (_first(tags.get(number), 1) for number in (_BITS, _FORMAT))
    samples = int(tags.get(_SAMPLES, 1))
    if samples > 1 and bits > 8:
        # Pillow keeps eight bits of each channel, ITK all of them where they lie in strips, one beside the other.
        array = (
            _by_itk(path) if tags.get(_TILES) is None and tags.get(_ORIENTATION, 1) == 1 else np.zeros((1, 1), np.uint8)
        )
        if array.dtype.itemsize * 8 < bits:
            raise InputError(
                f"{path} is a TIFF with {samples} channels of {bits} bits in tiles, planes or turned, which loses bits when read; "
                "save it as plain grey."
            )
        return array
    if image.mode in ("LA", "La"):
        raise InputError(f"{path} has grey values with transparency, which are not read; save it as plain grey.")
    if image.mode == "P":
        image = image.convert("RGB")
    array = np.asarray(image)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if image.mode == "1":
        return np.where(array, np.uint8(255), np.uint8(0))
    if bits in (8, 16) and kind == _SIGNED:
        array = array.astype(np.uint8).view(np.int8) if bits == 8 else array.astype(np.int16)
    if bits == 32 and kind not in (_SIGNED, 3):
        array = array.view(np.uint32)
    # Pillow turns eight bits of white-is-zero itself, and no others.
    return inverted(array) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and bits > 8 else array


def _first(value: Any, otherwise: int) -> int:
    found = value[0] if isinstance(value, tuple) and value else value
    return otherwise if found is None else int(found)


def _grey(path: Path, array: Array) -> Array:
    """One channel; colour pictures whose channels agree are grey in truth."""
    if array.ndim == 2:
        return array
    if array.shape[-1] in (3, 4) and all(np.array_equal(array[..., 0], array[..., k]) for k in (1, 2)):
        return np.ascontiguousarray(array[..., 0])
    raise InputError(f"{path} is a colour picture; ClamSeg needs grey values (an X-ray saved in grey).")


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(f"{path} cannot be read as a picture ({why}); it is damaged or another kind of file.")


def _several(path: Path, count: int) -> InputError:
    return InputError(f"{path} holds {count} pictures; save each as a file of its own, or a volume as NRRD or NIfTI.")
