from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_stacks import stack

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.imaging.dicom_seg import write_dicom_seg
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.seg_nrrd import Segment
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

hd = pytest.importorskip("highdicom")
MASS = "SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^"


def segments(shape: tuple[int, ...]) -> list[Segment]:
    lungs, mass = (np.zeros(shape, bool) for _ in range(2))
    lungs[1:5, 3:15, 4:20] = True
    mass[2:4, 5:9, 6:11] = True
    return [
        Segment("organ", "lungs", lungs, (0, 114, 178)),
        Segment("lesion-mass", "mass", mass, (213, 94, 0), MASS),
        Segment("lesion-other", "other", np.zeros(shape, bool), (1, 1, 1)),
    ]


@pytest.mark.parametrize("missing", [None, 3])
def test_every_voxel_lies_where_its_source_slice_says(tmp_path, missing):
    stack(tmp_path / "series")
    for path in list((tmp_path / "series").iterdir()):
        if pydicom.dcmread(path).InstanceNumber == missing:
            path.unlink()
    volume = read_volume(tmp_path / "series")
    own = segments(volume.array.shape)
    for segment in own:
        segment.mask[list(volume.missing_slices)] = False
    write_dicom_seg(tmp_path / "seg.dcm", own, volume, series_description="ClamSeg ct")
    document = hd.seg.segread(str(tmp_path / "seg.dcm"))
    assert document.number_of_segments == 2, "empty segments are left out"
    for number in (1, 2):
        found = document.get_volume(segment_numbers=[number])
        places = np.argwhere(np.asarray(found.array)[..., 0] > 0)
        affine = np.asarray(found.affine)
        seen = places @ affine[:3, :3].T + affine[:3, 3]
        expected = volume.to_lps(np.argwhere(own[number - 1].mask))
        assert len(seen) == len(expected)
        assert {tuple(np.round(p, 2)) for p in seen} == {tuple(np.round(p, 2)) for p in expected}


def test_the_document_says_what_it_is(tmp_path):
    stack(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    write_dicom_seg(tmp_path / "seg.dcm", segments(volume.array.shape), volume, series_description="ClamSeg ct")
    document = hd.seg.segread(str(tmp_path / "seg.dcm"))
    assert RESEARCH_ONLY in document.SeriesDescription
    assert document.SegmentationType == "BINARY"
    described = document.get_segment_description(2)
    assert described.segment_label == "mass"
    assert described.segmented_property_type.value == "4147007"
    assert described.algorithm_type.value == "AUTOMATIC"
    referenced = {
        i.ReferencedSOPInstanceUID for s in document.ReferencedSeriesSequence for i in s.ReferencedInstanceSequence
    }
    assert len(referenced) == volume.array.shape[0]


def test_what_a_reader_drew_is_not_said_to_be_the_work_of_the_program(tmp_path):
    stack(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    found, corrected, _empty = segments(volume.array.shape)
    types = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
    own = [replace(found, id=word, name=word, algorithm_type=word) for word in types]
    own[1] = replace(own[1], mask=corrected.mask)
    write_dicom_seg(tmp_path / "seg.dcm", own, volume, series_description="ClamSeg ct")
    document = hd.seg.segread(str(tmp_path / "seg.dcm"))
    for number, word in enumerate(types, 1):
        described = document.get_segment_description(number)
        assert described.algorithm_type.value == described.segment_label == word
        assert (described.algorithm_identification is None) == (word == "MANUAL")


def test_no_name_of_a_patient_is_printed(tmp_path, recwarn):
    stack(tmp_path / "series", PatientName="Mustermann")  # one part only, which highdicom finds unlikely
    volume = read_volume(tmp_path / "series")
    write_dicom_seg(tmp_path / "seg.dcm", segments(volume.array.shape), volume, series_description="ClamSeg ct")
    assert not [str(warning.message) for warning in recwarn if "Mustermann" in str(warning.message)]


def test_a_scan_that_is_no_dicom_or_a_result_that_is_empty_is_refused(tmp_path):
    stack(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    with pytest.raises(InputError, match="every segment is empty"):
        write_dicom_seg(tmp_path / "x.dcm", segments(volume.array.shape)[2:], volume, series_description="x")
    with pytest.raises(InputError, match="only for a DICOM series"):
        write_dicom_seg(tmp_path / "x.dcm", segments(volume.array.shape), Volume(volume.array), series_description="x")


def test_a_real_anonymised_series_gets_its_segmentation(tmp_path, real_data):
    volume = read_volume(real_data / "totalseg_ct" / "example_ct_dicom")
    write_dicom_seg(tmp_path / "seg.dcm", segments(volume.array.shape), volume, series_description="ClamSeg ct")
    assert hd.seg.segread(str(tmp_path / "seg.dcm")).number_of_segments == 2
