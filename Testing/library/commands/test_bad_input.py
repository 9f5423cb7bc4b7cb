"""A user's mistake ends in one clear line, exit code 2 and no partial output; failures of the machine in 1."""

import errno
import gzip
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from another_user import another_user, folder_for_everybody
from tiny_model import tiny_model

from ClamSegLib.__main__ import main as start
from ClamSegLib.cli import main
from ClamSegLib.imaging import reader_process
from ClamSegLib.imaging.read_write import read_volume

Files = Callable[[Path], Path]
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def mr_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny-mr", "MR")


@pytest.fixture(scope="module")
def ct_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny-ct", "CT")


def tree(folder: Path) -> set[str]:
    """Everything below `folder`, hidden and unfinished files too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Runs the command line in this process; returns the exit code and the one error line it must have printed."""
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    assert "Traceback" not in told.err + told.out
    errors = [line for line in told.err.splitlines() if "error" in line.lower()]
    assert len(errors) == 1, told.err
    assert 20 < len(errors[0]) < 500, errors[0]
    return code, errors[0]


# -- scans -------------------------------------------------------------------------------------------------


def image(size: tuple[int, int, int] = (6, 40, 40), seed: int = 0) -> np.ndarray:
    """A bright block in noise, int16, values below those of HU air never reached."""
    array = np.random.default_rng(seed).normal(100, 10, size)
    array[:, size[1] // 4 : size[1] // 2, size[2] // 4 : size[2] // 2] += 200
    return array.astype(np.int16)


def write(path: Path, array: np.ndarray, *, is_vector: bool = False) -> Path:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=is_vector), str(path))
    return path


def write_dicom(path: Path, pixels: np.ndarray) -> Path:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    header.Modality, header.SeriesInstanceUID = "CT", generate_uid()
    header.Rows, header.Columns = pixels.shape
    header.PixelSpacing, header.ImagePositionPatient = [1.0, 1.0], [0.0, 0.0, 0.0]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.RescaleIntercept, header.RescaleSlope = 0, 1
    header.PixelData = pixels.astype("<i2").tobytes()
    header.save_as(path, enforce_file_format=True)
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def missing(folder: Path) -> Path:
    return folder / "nowhere.nii.gz"


def empty_file(folder: Path) -> Path:
    (folder / "empty.nrrd").touch()
    return folder / "empty.nrrd"


def truncated(ending: str) -> Files:
    """Makes a file of this kind that ends too early."""

    def make(folder: Path) -> Path:
        is_picture = ending in ("png", "jpg", "tif")
        return cut(write(folder / f"cut.{ending}", image()[0].astype(np.uint8) if is_picture else image()))

    make.__name__ = f"truncated_{ending}"
    return make


def truncated_dicom(folder: Path) -> Path:
    return cut(write_dicom(folder / "cut.dcm", image()[0]))


def whole_gzip_of_a_truncated_nifti(folder: Path) -> Path:
    plain = cut(write(folder / "plain.nii", image()))
    (folder / "cut.nii.gz").write_bytes(gzip.compress(plain.read_bytes()))
    return folder / "cut.nii.gz"


def negative_size_nifti(folder: Path) -> Path:
    path = write(folder / "negative.nii", image())
    data = bytearray(path.read_bytes())
    data[42:44] = struct.pack("<h", -40)
    path.write_bytes(bytes(data))
    return path


def corrupt_png(folder: Path) -> Path:
    path = write(folder / "corrupt.png", image()[0].astype(np.uint8))
    data = bytearray(path.read_bytes())
    data[60:-20] = os.urandom(len(data) - 80)
    path.write_bytes(bytes(data))
    return path


def corrupt_nifti(folder: Path) -> Path:
    path = write(folder / "corrupt.nii.gz", image())
    path.write_bytes(b"\x1f\x8b\x08\x00" + os.urandom(3000))
    return path


def terabytes_nrrd(folder: Path) -> Path:
    path = folder / "huge.nrrd"
    head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 40000 40000 40000\nendian: little\nencoding: raw\n\n"
    path.write_bytes(head.encode() + b"\0" * 64)
    return path


def terabytes_nifti(folder: Path) -> Path:
    path = write(folder / "huge.nii", image())
    data = bytearray(path.read_bytes())
    data[40:48] = struct.pack("<4h", 3, 32000, 32000, 32000)
    path.write_bytes(bytes(data))
    return path


def text_as_nifti(folder: Path) -> Path:
    path = folder / "letter.nii.gz"
    path.write_text("Dear colleague, please find attached.\n" * 40)
    return path


def text_in_gzip(folder: Path) -> Path:
    path = folder / "zipped.nii.gz"
    path.write_bytes(gzip.compress(b"Dear colleague, please find attached.\n" * 40))
    return path


def four_dimensions(folder: Path) -> Path:
    import SimpleITK as sitk

    path = folder / "time.nii.gz"
    parts = [sitk.GetImageFromArray(image(seed=n)) for n in range(3)]
    sitk.WriteImage(sitk.JoinSeries(parts), str(path))
    return path


def colour_volume(folder: Path) -> Path:
    coloured = np.stack([image(seed=n) for n in range(3)], -1).astype(np.uint8)
    return write(folder / "colour.nrrd", coloured, is_vector=True)


def zero_spacing(folder: Path) -> Path:
    path = folder / "zero.nrrd"
    head = "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 40 40 6\n"
    head += "space directions: (0,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
    path.write_bytes(head.encode() + image().tobytes())
    return path


def negative_spacing(folder: Path) -> Path:
    path = folder / "negative.mha"
    head = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    head += "ElementSpacing = 1 -1 1\nDimSize = 40 40 6\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path.write_bytes(head.encode() + image().tobytes())
    return path


def all_nan(folder: Path) -> Path:
    return write(folder / "nan.nrrd", np.full((6, 40, 40), np.nan, np.float32))


def constant(folder: Path) -> Path:
    return write(folder / "constant.nrrd", np.full((6, 40, 40), 7, np.int16))


def too_small(folder: Path) -> Path:
    return write(folder / "small.nrrd", image((6, 12, 40)))


def folder_without_images(folder: Path) -> Path:
    (folder / "notes").mkdir()
    (folder / "notes" / "letter.txt").write_text("nothing here")
    return folder / "notes"


def unknown_kind(folder: Path) -> Path:
    (folder / "letter.docx").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    return folder / "letter.docx"


def anisotropic(folder: Path) -> Path:
    import SimpleITK as sitk

    picture = sitk.GetImageFromArray(image((40, 40, 24)))
    picture.SetSpacing((8.0, 1.0, 1.0))
    sitk.WriteImage(picture, str(folder / "sagittal.nrrd"))
    return folder / "sagittal.nrrd"


BAD_SCANS: list[tuple[Files, str]] = [
    (missing, "nowhere"),
    (empty_file, "empty"),
    *((truncated(ending), "cut") for ending in ("nii.gz", "nii", "nrrd", "mha", "png", "jpg", "tif")),
    (truncated_dicom, "cut"),
    (whole_gzip_of_a_truncated_nifti, "cut"),
    (negative_size_nifti, "negative"),
    (corrupt_png, "corrupt"),
    (corrupt_nifti, "corrupt"),
    (terabytes_nrrd, "huge"),
    (terabytes_nifti, "huge"),
    (text_as_nifti, "letter"),
    (text_in_gzip, "zipped"),
    (four_dimensions, "dimensions"),
    (colour_volume, "colour"),
    (zero_spacing, "zero"),
    (negative_spacing, "spacing"),
    (all_nan, "nan"),
    (constant, "same value"),
    (too_small, "16"),
    (folder_without_images, "notes"),
    (unknown_kind, "letter.docx"),
    (anisotropic, "sagittal"),
]


@pytest.mark.parametrize(("make", "word"), BAD_SCANS, ids=[make.__name__ for make, _ in BAD_SCANS])
def test_a_scan_that_cannot_be_worked_on_is_refused_in_one_line(
    make: Files, word: str, tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = make(tmp_path)
    before = tree(tmp_path)
    code, line = one_line(["segment", scan, "--model", mr_model, "--output", tmp_path / "out"], capsys)
    assert code == 2
    assert word.lower() in line.lower()
    assert tree(tmp_path) == before


def in_a_process(words: list[str | bytes], script: str = "", **options: Any) -> tuple[int, list[str]]:
    """Runs the command line, or a script, as a process of its own; returns the exit code and what it said."""
    start = ["-c", script] if script else ["-m", "ClamSegLib"]
    done = subprocess.run(
        [sys.executable, *start, *words], check=False, capture_output=True, cwd=REPOSITORY, timeout=120, **options
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace").splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps any bytes as a name")
@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "png"])
def test_a_name_that_is_no_text_is_refused_where_c_libraries_would_crash(
    tmp_path: Path, mr_model: Path, ending: str
) -> None:
    whole = write(tmp_path / f"scan.{ending}", image()[0].astype(np.uint8) if ending == "png" else image())
    odd = os.fsencode(tmp_path) + b"/Kr\xfcger." + ending.encode()
    whole.rename(os.fsdecode(odd))
    code, said = in_a_process(["segment", odd, "--model", str(mr_model), "--output", str(tmp_path / "out")])
    assert (code, len(said)) == (2, 1), said
    assert f"Kr?ger.{ending} has a name with bytes that are no letters; rename it." in said[0]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights of files as on Unix")
def test_a_folder_or_a_model_that_may_not_be_read_is_refused_in_one_line(
    mr_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAMSEG_CACHE", os.devnull)
    with folder_for_everybody() as folder:
        closed, model = folder / "closed", shutil.copytree(mr_model, folder / "tiny-mr")
        closed.mkdir(mode=0)
        monkeypatch.setenv("CLAMSEG_MODELS", str(folder / "none"))
        words = ["segment", str(closed), "--model", str(model), "--output", str(folder / "out")]
        one_line(["segment", str(folder / "missing"), *words[2:]], capsys)  # loads what root alone may load
        reader_process._Shared.reader.stop()  # root started it, so that another user may not end it
        with another_user():
            code, told = one_line(words, capsys)
        assert code == 2
        assert told.endswith("closed cannot be read; you lack the permission.")
        # Likewise a folder of models, and the weights of one.
        monkeypatch.setenv("CLAMSEG_MODELS", str(closed))
        with another_user():
            code, told = one_line(["segment", str(folder), "--model", "mine", "--output", str(folder / "out")], capsys)
        assert code == 2
        assert told.endswith("closed may not be read or written; you lack the permission.")
        monkeypatch.setenv("CLAMSEG_MODELS", str(folder / "none"))
        (model / "weights.safetensors").chmod(0)
        with another_user():
            code, told = one_line(words, capsys)
        assert code == 2
        assert "weights.safetensors cannot be read (Permission denied)" in told
        closed.chmod(0o700)


def test_a_cancel_that_an_import_turns_into_another_error_is_a_cancel_all_the_same() -> None:
    script = (
        "import os, signal, sys, time\nfrom ClamSegLib import cli\nfrom ClamSegLib.commands import models\n"
        "def run(arguments, reporter):\n    try:\n        os.kill(os.getpid(), signal.SIGINT)\n        time.sleep(5)\n"
        "    except KeyboardInterrupt:\n        raise RecursionError('half an import')\n"
        "models.run = run\nsys.argv = ['clamseg', 'models']\nsys.exit(cli.main())"
    )
    code, said = in_a_process([], script)
    assert (code, said) == (130, ["error: cancelled; nothing half-written was left"])


def test_a_truncated_jpeg_2000_dicom_is_refused_in_one_line(
    real_data: Path, tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cut_short,) = (real_data / "formats").rglob("*too_short*")
    code, _ = one_line(["segment", cut_short, "--model", mr_model, "--output", tmp_path / "out"], capsys)
    assert code == 2
    assert not tree(tmp_path)


def test_a_ct_model_refuses_values_that_are_not_hu(
    tmp_path: Path, ct_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = write(tmp_path / "scan.nrrd", (image() + 20000).astype(np.int16))
    code, line = one_line(["segment", scan, "--model", ct_model, "--output", tmp_path / "out"], capsys)
    assert code == 2
    assert "HU" in line
    assert tree(tmp_path) == {"scan.nrrd"}


@pytest.mark.parametrize("ending", ["nrrd", "nii", "nii.gz"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_some_nan_voxels_become_background_with_a_warning(
    tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str], ending: str, kind: type
) -> None:
    array = image().astype(kind)
    array[2, 30:33, 30:33] = np.nan
    scan = write(tmp_path / f"holes.{ending}", array)
    code = main(["segment", str(scan), "--model", str(mr_model), "--output", str(tmp_path / "out")])
    assert code == 0
    lowest = np.float32(np.nanmin(array))
    words = f"9 of {array.size} voxels are not numbers; they count as background ({lowest:g})."
    assert words in capsys.readouterr().err
    assert np.array_equal(np.argwhere(np.isnan(read_volume(scan).array)), np.argwhere(np.isnan(array)))
    assert list((tmp_path / "out").rglob("segmentation.seg.nrrd"))


def test_a_single_slice_is_fine(tmp_path: Path, mr_model: Path) -> None:
    scan = write(tmp_path / "slice.png", image()[0].astype(np.uint8))
    assert main(["segment", str(scan), "--model", str(mr_model), "--output", str(tmp_path / "out")]) == 0


def test_in_a_batch_the_good_cases_are_done_and_the_bad_one_is_named(
    tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, bad, last = (
        write(tmp_path / "first.nrrd", image()),
        truncated("nrrd")(tmp_path),
        write(tmp_path / "last.nrrd", image()),
    )
    words = ["segment", *map(str, (first, bad, last)), "--model", str(mr_model), "--output", str(tmp_path / "out")]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "cut.nrrd" in told
    assert "Traceback" not in told
    done = {path.parent.name for path in (tmp_path / "out").rglob("report.json")}
    assert {name for name in ("first", "last") if any(name in folder for folder in done)} == {"first", "last"}
    assert len(done) == 2
    assert not [path for path in (tmp_path / "out").rglob("*") if "cut" in path.name]


# -- options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["segment"], ["segment", "x.nrrd", "--nonsense"]], ids=str)
def test_words_that_are_no_command_end_with_two_and_a_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "usage" in capsys.readouterr().err


def test_an_existing_output_is_refused_without_overwrite_and_kept(
    tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = write(tmp_path / "scan.nrrd", image())
    words = ["segment", str(scan), "--model", str(mr_model), "--output", str(tmp_path / "out")]
    assert main(words) == 0
    (report,) = (tmp_path / "out").rglob("report.json")
    written = report.read_text()
    noted = json.dumps({**json.loads(written), "note": "mine"})
    report.write_text(noted)
    capsys.readouterr()
    code, line = one_line(words, capsys)
    assert code == 2
    assert "pass --overwrite" in line
    assert report.read_text() == noted
    assert main([*words, "--overwrite"]) == 0
    assert "note" not in json.loads(report.read_text())
    report.write_text("mine")
    capsys.readouterr()
    code, line = one_line([*words, "--overwrite"], capsys)
    assert code == 2
    assert "not even --overwrite" in line
    assert report.read_text() == "mine", "what ClamSeg did not write is never replaced"


# -- model folders -----------------------------------------------------------------------------------------


def changed_weights(model: Path) -> None:
    data = bytearray((model / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "weights.safetensors").write_bytes(bytes(data))


def pickled_weights(model: Path) -> None:
    import hashlib

    # A pickle that would write a file if anything ever loaded it.
    trap = model.parent / "trap"
    (model / "weights.safetensors").write_bytes(b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR.")
    config = json.loads((model / "config.json").read_text())
    digest = hashlib.sha256((model / "weights.safetensors").read_bytes()).hexdigest()
    (model / "config.json").write_text(json.dumps({**config, "weights_sha256": digest}))


@pytest.mark.parametrize(
    ("harm", "word"),
    [(changed_weights, "SHA-256"), (pickled_weights, "safetensors")],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_damaged_or_hostile_model_folder_is_refused_and_never_executed(
    harm: Callable[[Path], None], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model(tmp_path / "model", "MR")
    harm(model)
    scan = write(tmp_path / "scan.nrrd", image())
    before = tree(tmp_path)
    code, line = one_line(["segment", scan, "--model", model, "--output", tmp_path / "out"], capsys)
    assert code == 2
    assert word in line
    assert tree(tmp_path) == before


@pytest.mark.parametrize("verb", ["segment", "train", "evaluate", "export", "benchmark"])
def test_every_verb_names_a_model_that_is_not_there(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled(tmp_path / "data")
    scan = data / "images" / "0.png"
    words = {
        "segment": [scan, "--model", "atlantis"],
        "train": [data, "--init", "atlantis"],
        "evaluate": [data, "--model", "atlantis"],
        "export": ["atlantis", "--format", "onnx"],
        "benchmark": ["--model", "atlantis", "--quick"],
    }[verb]
    before = tree(tmp_path)
    code, line = one_line([verb, *words, "--output", tmp_path / "out"], capsys)
    assert code == 2
    assert "atlantis" in line
    assert tree(tmp_path) == before


@pytest.mark.parametrize("verb", ["evaluate", "export"])
def test_every_verb_that_writes_a_folder_refuses_one_that_is_there(
    verb: str, tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled(tmp_path / "data")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    words = {"evaluate": [data, "--model", mr_model], "export": [mr_model, "--format", "onnx"]}[verb]
    before = tree(tmp_path)
    code, line = one_line([verb, *words, "--output", tmp_path / "out"], capsys)
    assert code == 2
    assert "--overwrite" in line
    assert tree(tmp_path) == before


# -- labelled folders --------------------------------------------------------------------------------------


def labelled(
    root: Path, rows: list[dict[str, str]] | None = None, columns: str = "image_path,label,patient_id,split"
) -> Path:
    """A form 2 folder with eight small pictures; `rows` replace the table's."""
    (root / "images").mkdir(parents=True)
    for n in range(8):
        write(root / "images" / f"{n}.png", image(seed=n)[0].astype(np.uint8))
    if rows is None:
        rows = [
            {"image_path": f"images/{n}.png", "label": str(n % 2), "patient_id": f"p{n}", "split": "train"}
            for n in range(8)
        ]
    names = columns.split(",")
    lines = [",".join(row.get(name, "") for name in names) for row in rows]
    (root / "labels.csv").write_text("\n".join([columns, *lines]) + "\n")
    return root


def row(number: int, **values: str) -> dict[str, str]:
    base = {
        "image_path": f"images/{number}.png",
        "label": str(number % 2),
        "patient_id": f"p{number}",
        "split": "train",
    }
    return {**base, **values}


def no_folder(folder: Path) -> Path:
    return folder / "nowhere"


def no_images(folder: Path) -> Path:
    (folder / "data" / "normal").mkdir(parents=True)
    (folder / "data" / "ill").mkdir()
    return folder / "data"


def one_class(folder: Path) -> Path:
    return labelled(folder / "data", [row(n, label="1") for n in range(8)])


def one_class_folder(folder: Path) -> Path:
    (folder / "data" / "normal").mkdir(parents=True)
    write(folder / "data" / "normal" / "a.png", image()[0].astype(np.uint8))
    return folder / "data"


def two_normal_classes(folder: Path) -> Path:
    for name in ("normal", "healthy", "ill"):
        (folder / "data" / name).mkdir(parents=True)
        write(folder / "data" / name / "a.png", image()[0].astype(np.uint8))
    return folder / "data"


def no_label_column(folder: Path) -> Path:
    return labelled(folder / "data", columns="image_path,patient_id,split")


def no_image_column(folder: Path) -> Path:
    return labelled(folder / "data", columns="label,patient_id,split")


def unknown_labels(folder: Path) -> Path:
    return labelled(folder / "data", [row(n, label="?" if n == 3 else str(7 * (n % 2))) for n in range(8)])


def empty_label(folder: Path) -> Path:
    return labelled(folder / "data", [row(n, label="" if n == 3 else str(n % 2)) for n in range(8)])


def path_outside(folder: Path) -> Path:
    write(folder / "secret.png", image()[0].astype(np.uint8))
    return labelled(folder / "data", [*[row(n) for n in range(7)], row(7, image_path="../secret.png")])


def absolute_path(folder: Path) -> Path:
    path = write(folder / "secret.png", image()[0].astype(np.uint8))
    return labelled(folder / "data", [*[row(n) for n in range(7)], row(7, image_path=str(path))])


def link_outside(folder: Path) -> Path:
    path = write(folder / "secret.png", image()[0].astype(np.uint8))
    data = labelled(folder / "data", [*[row(n) for n in range(8)], row(9)])
    (data / "images" / "9.png").symlink_to(path)
    return data


def duplicate(folder: Path) -> Path:
    return labelled(folder / "data", [*[row(n) for n in range(8)], row(3)])


def missing_image(folder: Path) -> Path:
    return labelled(folder / "data", [*[row(n) for n in range(8)], row(77)])


def patient_in_two_splits(folder: Path) -> Path:
    return labelled(
        folder / "data",
        [row(n, patient_id="p0" if n < 2 else f"p{n}", split="dev" if n == 1 else "train") for n in range(8)],
    )


def bad_eta(folder: Path) -> Path:
    return labelled(folder / "data", [row(n, eta="1.7") for n in range(8)], "image_path,label,patient_id,split,eta")


def table_in_utf_16(folder: Path) -> Path:
    data = labelled(folder / "data")
    (data / "labels.csv").write_text((data / "labels.csv").read_text(), encoding="utf-16")
    return data


def with_masks(folder: Path) -> Path:
    rows = [row(n, lesion_mask_path=f"images/m{n}.png" if n % 2 else "") for n in range(8)]
    root = labelled(folder / "data", rows, "image_path,label,patient_id,split,lesion_mask_path")
    for n in range(1, 8, 2):
        write(root / "images" / f"m{n}.png", np.pad(np.full((9, 9), 255, np.uint8), ((9, 22), (9, 22))))
    return root


def mask_of_another_size(folder: Path) -> Path:
    root = with_masks(folder)
    write(root / "images" / "m3.png", np.full((20, 20), 255, np.uint8))
    return root


def mask_that_is_no_picture(folder: Path) -> Path:
    root = with_masks(folder)
    (root / "images" / "m3.png").write_bytes(b"an outline")
    return root


def picture_of_one_value(folder: Path) -> Path:
    root = labelled(folder / "data")
    write(root / "images" / "3.png", np.full((40, 40), 9, np.uint8))
    return root


BAD_FOLDERS: list[tuple[Files, str]] = [
    (mask_of_another_size, "m3.png"),
    (mask_that_is_no_picture, "m3.png"),
    (picture_of_one_value, "3.png"),
    (no_folder, "nowhere"),
    (no_images, "images"),
    (one_class, "only"),
    (one_class_folder, "normal"),
    (two_normal_classes, "--normal-class"),
    (no_label_column, "label"),
    (no_image_column, "image_path"),
    (unknown_labels, "label"),
    (empty_label, "label"),
    (path_outside, "outside|leads out"),
    (absolute_path, "outside|leads out"),
    (link_outside, "outside|leads out"),
    (duplicate, "twice"),
    (missing_image, "77.png"),
    (patient_in_two_splits, "split"),
    (bad_eta, "eta"),
    (table_in_utf_16, "UTF-8"),
]


@pytest.mark.parametrize(("make", "word"), BAD_FOLDERS, ids=[make.__name__ for make, _ in BAD_FOLDERS])
def test_a_labelled_folder_that_cannot_teach_is_refused_in_one_line(
    make: Files, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make(tmp_path)
    before = tree(tmp_path)
    words = ["train", data, "--output", tmp_path / "model", "--modality", "XR", "--organ", "whole", "--steps", "2"]
    code, line = one_line(words, capsys)
    assert code == 2
    assert any(option in line for option in word.split("|")), line
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", [make for make, _ in BAD_FOLDERS], ids=lambda make: make.__name__)
def test_the_doctor_names_what_a_training_would_refuse(
    make: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make(tmp_path)
    assert main(["check", str(data)]) == 2
    told = capsys.readouterr()
    assert len(told.out + told.err) > 40
    assert "Traceback" not in told.out + told.err


def test_boxes_are_refused_where_masks_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = "image_path,label,patient_id,split,lesion_mask_path,lesion_mask_kind"
    rows = [
        row(n, lesion_mask_path="boxes/1.png" if n % 2 else "", lesion_mask_kind="box" if n % 2 else "")
        for n in range(8)
    ]
    data = labelled(tmp_path / "data", rows, columns)
    (data / "boxes").mkdir()
    box = np.zeros((40, 40), np.uint8)
    box[10:20, 10:20] = 255
    write(data / "boxes" / "1.png", box)
    words = [
        "train",
        data,
        "--output",
        tmp_path / "model",
        "--supervision",
        "masks",
        "--modality",
        "XR",
        "--organ",
        "whole",
        "--steps",
        "2",
    ]
    code, line = one_line(words, capsys)
    assert code == 2
    assert "box" in line
    assert not (tmp_path / "model").exists() or not tree(tmp_path / "model")


# -- the machine fails -------------------------------------------------------------------------------------


def as_a_person(words: list[object], **more: object) -> "subprocess.Popen[str]":
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "ClamSegLib", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
    )


def test_a_mistake_in_a_process_of_its_own_ends_with_two_and_one_line(tmp_path: Path, mr_model: Path) -> None:
    process = as_a_person(["segment", text_as_nifti(tmp_path), "--model", mr_model, "--output", tmp_path / "out"])
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert len([line for line in err.splitlines() if line.strip()]) == 1, err
    assert "Traceback" not in out + err


def test_an_output_that_cannot_be_written_ends_with_one(
    tmp_path: Path, mr_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = write(tmp_path / "scan.nrrd", image())
    (tmp_path / "file").write_text("a file, not a folder")
    before = tree(tmp_path)
    code, line = one_line(["segment", scan, "--model", mr_model, "--output", tmp_path / "file" / "out"], capsys)
    assert code == 1
    assert "Internal" not in line
    assert tree(tmp_path) == before


def test_a_full_disk_ends_with_one_and_keeps_what_was_finished(tmp_path: Path, mr_model: Path) -> None:
    # The limit on the size of a file stands in for the end of the disk: small results fit, the large one does not.
    small = write(tmp_path / "small.nrrd", image((2, 32, 32)))
    noise = np.random.default_rng(1).integers(0, 2000, (40, 300, 300)).astype(np.int16)
    large = write(tmp_path / "large.nrrd", noise)
    limit = 600_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = ["segment", small, large, "--model", mr_model, "--output", tmp_path / "out"]
    process = as_a_person(words, preexec_fn=limited)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert "Internal" not in err
    done = [path.parent.name for path in (tmp_path / "out").rglob("report.json")]
    assert len(done) == 1, done
    assert "small" in done[0]
    assert not [name for name in tree(tmp_path / "out") if "large" in name]


def wait_for_first_case(output: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not list(output.glob("*/report.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    assert list(output.glob("*/report.json")), process.communicate()[1]


def many_scans(folder: Path) -> list[Path]:
    return [write(folder / f"scan{n:02d}.nrrd", image((8, 64, 64), seed=n)) for n in range(40)]


def complete_cases(output: Path) -> list[Path]:
    return [path for path in output.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelling_a_batch_ends_with_130_and_keeps_finished_cases_only(
    number: signal.Signals, tmp_path: Path, mr_model: Path
) -> None:
    process = as_a_person(["segment", *many_scans(tmp_path), "--model", mr_model, "--output", tmp_path / "out"])
    wait_for_first_case(tmp_path / "out", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    cases = list((tmp_path / "out").iterdir())
    assert 1 <= len(cases) < 40
    assert all((case / "segmentation.seg.nrrd").is_file() and (case / "report.json").is_file() for case in cases)


def test_a_killed_run_leaves_no_half_written_case_and_can_be_run_again(tmp_path: Path, mr_model: Path) -> None:
    scans = many_scans(tmp_path)[:12]
    process = as_a_person(["segment", *scans, "--model", mr_model, "--output", tmp_path / "out"])
    wait_for_first_case(tmp_path / "out", process)
    process.kill()
    process.communicate(timeout=60)
    cases = complete_cases(tmp_path / "out")
    assert all((case / "segmentation.seg.nrrd").is_file() and (case / "report.json").is_file() for case in cases)
    left = [scan for scan in scans if not any(case.name.startswith(scan.stem) for case in cases)]
    assert left, "the run was over before it could be killed"
    words = ["segment", str(left[0]), "--model", str(mr_model), "--output", str(tmp_path / "out")]
    assert main(words) == 0


def test_verbs_that_find_no_room_to_be_loaded_are_told_in_one_line(monkeypatch, capsys):
    def no_more_files(name):
        raise OSError(errno.EMFILE, "Too many open files", f"{name}.py")

    monkeypatch.setattr("ClamSegLib.cli.importlib.import_module", no_more_files)
    code, words = one_line(["models"], capsys)
    assert code == 1
    assert "Too many files are open" in words


@pytest.mark.parametrize(
    "words",
    ["[enforce fail] DefaultCPUAllocator: can't allocate memory", "could not create a primitive", "std::bad_alloc"],
    ids=["torch", "oneDNN", "C++"],
)
def test_a_library_without_memory_ends_a_verb_in_one_line_that_says_so(monkeypatch, capsys, words):
    def full():
        raise RuntimeError(words)

    monkeypatch.setattr("ClamSegLib.model.registry.list_models", full)
    code, told = one_line(["models"], capsys)
    assert code == 1
    assert "Memory ran out" in told


def test_a_library_that_wraps_what_memory_said_ends_a_verb_in_the_same_line(monkeypatch, capsys):
    def full():
        raise RuntimeError("Failed to export the model. Next steps: ...") from MemoryError()

    monkeypatch.setattr("ClamSegLib.model.registry.list_models", full)
    code, told = one_line(["models"], capsys)
    assert code == 1
    assert "Memory ran out" in told


def test_a_program_that_finds_no_room_to_be_loaded_says_so_in_one_line(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "ClamSegLib.cli", None)  # as a library that cannot be mapped into memory
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert start() == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    told = capfd.readouterr().err
    assert told.startswith("error: the program could not be loaded")
    assert "install ClamSeg again" in told
    assert told.count("\n") == 1
