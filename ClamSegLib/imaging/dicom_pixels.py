"""The pixels of a DICOM file: decoded, and turned into the values that they stand for.

pydicom decodes and applies look-up tables, GDCM inside SimpleITK decodes what pydicom has no decoder for.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.dicom_series import frame_count
from ClamSegLib.imaging.stored_voxels import SPARE_BYTES, check_held
from ClamSegLib.imaging.volume import Array, inverted
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.silence_c_output import complaint, suppress_itk_output

_PIXEL_TAGS = (
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation",
)  # fmt: skip


def decoded(path: Path) -> tuple[Array, Any]:
    """Stored values of a file, decompressed, (rows, columns) or with frames first, and its data set.

    Raises:
        InputError: truncated, damaged, of another size than its header says, or compressed in a way that nothing here decodes.
    """
    import pydicom
    from pydicom import uid

    dataset = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            _complete_meta(dataset)
            if not dataset.file_meta.TransferSyntaxUID.is_compressed:
                stored = _plain_pixels(path, dataset)
                if stored is not None:
                    return stored, dataset
            elif dataset.file_meta.TransferSyntaxUID in uid.JPEGTransferSyntaxes:
                # Of all decoders of JPEG only GDCM's says what it could not decode.
                _check_frames_end(dataset)
                if (heard := _pixels_by_itk(path, dataset)) is not None:
                    return heard, dataset
            pixels: Array = dataset.pixel_array
            _check_frames_end(dataset)
            return pixels, dataset
    except InputError:
        raise
    except Exception as error:  # pydicom raises many kinds for damaged files
        # Where a decoder was there and failed, the pixels are damaged; GDCM might make up a part of them.
        lacks_decoder = "missing dependencies" in str(error) or isinstance(error, NotImplementedError)
        if dataset is None or not lacks_decoder:
            words = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(f"{path} cannot be decoded ({words}); it is truncated or damaged.") from error
    by_itk = _pixels_by_itk(path, dataset)
    if by_itk is None:
        raise InputError(
            f"{path} cannot be decoded: it is damaged, or compressed in a way that needs more decoders "
            "(pip install 'clamseg[dicom]')."
        )
    return by_itk, dataset


def _plain_pixels(path: Path, dataset: Any) -> Array | None:
    """Pixels that are not compressed, held to what the header promises; pydicom leaves what is too much.

    Returns:
        Nothing where they are not whole bytes in the order of most files, which pydicom knows to read.
    """
    element = next((name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in dataset), None)
    if element is None:
        return None
    rows, columns, bits, frames = dataset.Rows, dataset.Columns, dataset.BitsAllocated, frame_count(dataset)
    samples = dataset.get("SamplesPerPixel") or 1
    promised = -(-rows * columns * frames * samples * bits // 8)
    # An odd number of bytes is filled up to an even one.
    spare = min(SPARE_BYTES, promised // max(rows, columns, frames, 1)) - 1
    data = dataset[element].value
    check_held(path, len(data), promised, max(spare, promised % 2))
    order = dataset.file_meta.TransferSyntaxUID.is_little_endian
    unused = bits - dataset.BitsStored
    if element != "PixelData" or samples != 1 or bits not in (8, 16, 32) or not order or not 0 <= unused < bits:
        return None
    kind = np.dtype(f"<{'i' if dataset.PixelRepresentation == 1 else 'u'}{bits // 8}")
    shape = (frames, rows, columns) if frames > 1 else (rows, columns)
    values = np.frombuffer(data, kind, rows * columns * frames).reshape(shape).copy()
    if unused:  # those bits may hold anything
        values <<= unused
        values >>= unused
    return values


def _complete_meta(dataset: Any) -> None:
    """A file without a meta group is not compressed; how it is stored shows while it is read."""
    from pydicom import uid

    if "TransferSyntaxUID" in dataset.file_meta:
        return
    implicit, little = dataset.original_encoding
    plain = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else plain


def _check_frames_end(dataset: Any) -> None:
    """JPEG and JPEG-LS say where they end; decoders fill what is missing with grey and say nothing.

    Raises:
        ValueError: a frame is cut off.
    """
    from pydicom import encaps, uid

    if dataset.file_meta.TransferSyntaxUID not in (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes):
        return
    for number, frame in enumerate(encaps.generate_frames(dataset.PixelData, number_of_frames=frame_count(dataset)), 1):
        if b"\xff\xd9" not in frame[-16:]:  # a byte or more of padding may follow
            raise ValueError(f"the compressed frame {number} is cut off")


def _pixels_by_itk(path: Path, dataset: Any) -> Array | None:
    """Stored values as GDCM inside SimpleITK decodes them; None where it cannot.

    GDCM gets the pixels alone: it scales CT and leaves MR, and nobody's name shall lie in a temporary folder.

    Raises:
        InputError: the decoder complains, or the picture has another size than the header says.
        OSError: no room for a temporary file.
    """
    import pydicom
    import SimpleITK as sitk

    bare = pydicom.Dataset()
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    said: list[str] = []
    try:
        _check_frames_end(dataset)
        for name in _PIXEL_TAGS:
            if name in dataset:
                setattr(bare, name, dataset[name].value)
        bare["PixelData"] = dataset["PixelData"]
        bare.PhotometricInterpretation = "MONOCHROME2"
        kind = pydicom.uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage
        bare.SOPClassUID = kind if frame_count(dataset) > 1 else pydicom.uid.SecondaryCaptureImageStorage
        bare.SOPInstanceUID = pydicom.uid.generate_uid()
        with tempfile.TemporaryDirectory() as folder:
            bare.save_as(Path(folder) / "pixels.dcm", enforce_file_format=True)
            with suppress_itk_output() as said:
                image = sitk.ReadImage(str(Path(folder) / "pixels.dcm"), imageIO="GDCMImageIO")
        array: Array = sitk.GetArrayFromImage(image)
    except OSError:
        raise
    except Exception:  # pydicom raises many kinds for damaged files, ITK RuntimeError
        array = np.empty(0)
    if words := complaint(said):
        raise InputError(f"{path} cannot be decoded ({words}); it is truncated or damaged.")
    if not array.size:
        return None
    promised = (frame_count(dataset), int(dataset.Rows), int(dataset.Columns))
    check_held(path, array.size, math.prod(promised), 0)
    if (array.shape if array.ndim == 3 else (1, *array.shape)) != promised:
        raise InputError(f"{path} holds other pixels than its header says; it is damaged.")
    return array[0] if array.ndim == 3 and array.shape[0] == 1 else array


def modality_values(stored: Array, dataset: Any, slope: float, intercept: float, path: Path) -> Array:
    """Values of the modality: by its look-up table where there is one (PS3.3 C.11.1), else by slope and intercept.

    Padding that would be brighter than all of the image becomes its darkest value; what lies below it or among it stays.

    Args:
        stored: (row, column).
    """
    if "ModalityLUTSequence" in dataset:
        from pydicom.pixels import apply_modality_lut

        try:
            values: Array = apply_modality_lut(stored, dataset)
        except Exception as error:  # pydicom raises many kinds for damaged tables
            raise InputError(f"{path} has a damaged Modality LUT Sequence; export it again.") from error
    else:
        values = _rescaled(stored, slope, intercept)
        low, high = _padding_range(stored, dataset)
        if low > high or (slope > 0 and low <= stored.min()):
            return values  # as dark as anything, as scanners write it: no pixel needs to be looked at
    padded = padding_of(stored, dataset)
    return values if padded is None else _padding_darkened(values, padded)


def _padding_range(stored: Array, dataset: Any) -> tuple[int, int]:
    """Lowest and highest stored value that is padding; (1, 0) where the header names none, which is no range."""
    try:
        one = int(dataset.PixelPaddingValue)
        other = int(dataset.get("PixelPaddingRangeLimit", one))
    except (AttributeError, TypeError, ValueError):
        return 1, 0
    # The header may write the number signed where the pixels are unsigned, or the other way round.
    low, high = sorted(int(np.asarray(value).astype(stored.dtype)) for value in (one, other))
    return low, high


def padding_of(stored: Array, dataset: Any) -> NDArray[np.bool_] | None:
    """Which stored values are padding outside the image (PS3.3 C.7.5.1.1.2), None where none is or all are."""
    low, high = _padding_range(stored, dataset)
    if low > high:
        return None
    padded = (stored == low) if low == high else (stored >= low) & (stored <= high)
    share = np.count_nonzero(padded)
    return padded if 0 < share < padded.size else None


def _padding_darkened(values: Array, padded: NDArray[np.bool_]) -> Array:
    darkest = values.min()
    lowest_padding = values[padded].min()
    if lowest_padding == darkest:
        return values
    image = values[~padded]
    if lowest_padding <= image.max():
        return values  # a number that tissue has as well is no padding, whatever the header says
    filled = values.copy()
    filled[padded] = image.min()
    return filled


def shown_bright(values: Array, padded: NDArray[np.bool_] | None) -> Array:
    """MONOCHROME1 with white for much, inside the range that the image fills; its padding dark."""
    if padded is None:
        return inverted(values)
    image = values[~padded]
    turned = inverted(np.clip(values, image.min(), image.max()))
    turned[padded] = image.min()
    return turned


def _rescaled(pixels: Array, slope: float, intercept: float) -> Array:
    """Modality values; int16 where slope and intercept allow, else float32."""
    if slope == 1 and intercept == 0:
        return pixels
    if slope == 1 and intercept == int(intercept) and pixels.dtype.kind in "iu":
        low, high = int(pixels.min()) + int(intercept), int(pixels.max()) + int(intercept)
        kind = np.int16 if low >= -32768 and high <= 32767 else np.int32
        if low >= -(2**31) and high < 2**31:
            return (pixels.astype(np.int64 if pixels.itemsize > 2 else np.int32) + int(intercept)).astype(kind)
    return (pixels.astype(np.float32) * slope + intercept).astype(np.float32)
