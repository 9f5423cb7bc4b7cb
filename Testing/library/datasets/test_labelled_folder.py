"""Labelled folders of both forms; what is refused is tested through the command line in test_bad_input.py."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from labelled_phantoms import write_phantoms

from ClamSegLib.datasets.labelled_folder import keep_rows, read_labelled_folder, split_rows
from ClamSegLib.system.errors import InputError


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = (np.arange(400).reshape(20, 20) + value) % 251
    sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.uint8)), str(path))
    return path


def table(root: Path, text: str, images: int = 4, encoding: str = "utf-8") -> Path:
    for k in range(images):
        picture(root / f"{k}.png", k)
    (root / "labels.csv").write_text(text, encoding=encoding)
    return root


def test_class_folders_with_and_without_patients(tmp_path):
    picture(tmp_path / "Healthy" / "p1" / "a.png")
    picture(tmp_path / "Healthy" / "p1" / "b.png")
    picture(tmp_path / "tumour" / "c.png")
    picture(tmp_path / "oedema" / "p3" / "deep" / "d.png")
    folder = read_labelled_folder(tmp_path)
    assert folder.normal_class == "Healthy"
    assert folder.conditions == ("oedema", "tumour")
    found = {row.relative_path: (row.label, row.patient_id) for row in folder.rows}
    assert found == {
        "Healthy/p1/a.png": (0, "p1"), "Healthy/p1/b.png": (0, "p1"), "tumour/c.png": (2, "c"), "oedema/p3/deep/d.png": (1, "p3"),
    }  # fmt: skip


def test_the_normal_class_may_be_named(tmp_path):
    picture(tmp_path / "grade0" / "a.png")
    picture(tmp_path / "grade1" / "b.png")
    with pytest.raises(InputError, match="--normal-class"):
        read_labelled_folder(tmp_path)
    folder = read_labelled_folder(tmp_path, normal_class="GRADE0")
    assert [row.label for row in folder.rows] == [0, 1]
    with pytest.raises(InputError, match="grade0, grade1"):
        read_labelled_folder(tmp_path, normal_class="grade9")


def test_a_folder_of_dicom_slices_is_one_volume(tmp_path):
    from dicom_stacks import stack

    stack(tmp_path / "normal" / "p1", 4)
    stack(tmp_path / "diseased" / "p2", 4)
    rows = read_labelled_folder(tmp_path).rows
    assert [(row.relative_path, row.patient_id) for row in rows] == [("diseased/p2", "p2"), ("normal/p1", "p1")]


def test_a_table_with_every_column(tmp_path):
    root = table(
        tmp_path,
        "image_path,label,patient_id,split,eta,slice_index,n_slices,lesion_mask_path,lesion_mask_kind,correction,view\n"
        "0.png,1,a,train,0.7,3,10,2.png,,1,AP\n1.png,0,b,dev,,4,10,,,,PA\n",
    )
    first, second = read_labelled_folder(root).rows
    assert (first.eta, first.slice_index, first.n_slices, first.correction) == (0.7, 3, 10, True)
    assert (first.lesion_mask_kind, first.extra) == ("mask", {"view": "AP"})
    assert (second.eta, second.lesion_mask_path, second.lesion_mask_kind, second.split) == (None, None, "", "dev")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image_path,label\n0.png,0\n1.png,1\n", "utf-8-sig"),
        ("image_path;label\n0.png;0\n1.png;1\n", "utf-8"),
        ("image_path\tlabel\n0.png\t0\n1.png\t1\n", "utf-8"),
        ("image_path,label\r\n0.png,normal\r\n1.png,pneumonia\r\n", "utf-8"),
    ],
)
def test_tables_as_spreadsheets_save_them(tmp_path, text, encoding):
    folder = read_labelled_folder(table(tmp_path, text, encoding=encoding))
    assert [row.label for row in folder.rows] == [0, 1]


def test_the_name_of_a_condition_comes_from_label_name_where_it_is_one(tmp_path):
    root = table(tmp_path, "image_path,label,label_name\n0.png,0,fine\n1.png,1,glioma\n")
    folder = read_labelled_folder(root)
    assert (folder.normal_class, folder.conditions) == ("fine", ("glioma",))


def test_slices_of_a_volume_are_rows_of_their_own_and_a_repeated_one_is_refused(tmp_path):
    sitk.WriteImage(
        sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 9, (5, 20, 20)).astype(np.int16)),
        str(tmp_path / "v.nii.gz"),
    )
    (tmp_path / "labels.csv").write_text("image_path,label,slice_index\nv.nii.gz,0,0\nv.nii.gz,1,3\n")
    assert [row.slice_index for row in read_labelled_folder(tmp_path).rows] == [0, 3]
    (tmp_path / "labels.csv").write_text("image_path,label,slice_index\nv.nii.gz,0,3\nv.nii.gz,1,3\n")
    with pytest.raises(InputError, match="twice"):
        read_labelled_folder(tmp_path)


def test_no_patient_is_in_both_parts_of_a_split_and_dev_rows_are_in_neither(tmp_path):
    folder = read_labelled_folder(write_phantoms(tmp_path / "d", patients=12))
    training, validation = split_rows(folder, validation_share=0.3, seed=4)
    patients = [{folder.rows[k].patient_id for k in part} for part in (training, validation)]
    assert patients[0] & patients[1] == set()
    assert patients[0] | patients[1] == {f"p{k}" for k in range(10)}
    assert split_rows(folder, validation_share=0.3, seed=4) == (training, validation)
    assert split_rows(folder, validation_share=0.3, seed=5) != (training, validation)


def test_rows_can_be_chosen_by_their_columns(tmp_path):
    root = table(tmp_path, "image_path,label,licence\n0.png,0,CC BY 4.0\n1.png,1,CC BY-NC\n2.png,1,CC BY 3.0\n")
    folder = read_labelled_folder(root)
    assert [r.relative_path for r in keep_rows(folder, ["licence=CC BY [0-9]*"]).rows] == ["0.png", "2.png"]
    for wrong in ("licence", "view=AP", "licence=MIT"):
        with pytest.raises(InputError, match="--only"):
            keep_rows(folder, [wrong])


@pytest.mark.parametrize(
    ("name", "rows", "diseased"),
    [
        ("lgg_flair", 3133, 1076),
        ("covid_ct_md", 481, 125),
        ("nih_cxr_pneumonia", 681, 345),
        ("open_ms_flair", 223, 160),
    ],
)
def test_real_tables_are_read_whole(real_data, name, rows, diseased):
    folder = read_labelled_folder(real_data / name)
    assert len(folder.rows) == rows
    assert sum(row.label > 0 for row in folder.rows) == diseased


@pytest.mark.parametrize("column", ["slice_index", "n_slices"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "1e18", "9" * 400, "-1", "0.5", "\u0664\u0665x"])
def test_a_number_that_no_scan_has_is_refused_with_its_line(tmp_path, column, value):
    table(tmp_path, f"image_path,label,{column}\n0.png,0,1\n1.png,1,{value}\n")
    with pytest.raises(InputError, match=rf"line 3: {column} .{{0,60}}(must be a whole number|is not a number)"):
        read_labelled_folder(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.png"])
def test_a_path_that_no_file_can_have_is_refused_with_its_line(tmp_path, name):
    table(tmp_path, f"image_path,label\n0.png,0\n{name},1\n")
    with pytest.raises(InputError, match=r"line 3: .*cannot be a path") as told:
        read_labelled_folder(tmp_path)
    assert len(str(told.value)) < 400
