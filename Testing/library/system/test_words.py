"""Words from outside are refused at the door, or made harmless where they are written."""

import csv
import io
import json

import numpy as np
import pytest
import SimpleITK as sitk

from ClamSegLib.imaging.seg_nrrd import Segment, read_segmentation, write_segmentation
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import from_json, to_json
from ClamSegLib.segmentation.lesions import Lesion, write_lesions
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import TerminalReporter
from ClamSegLib.system.words import bounded, in_cell, in_picture

ODD = ["two\nlines", "a\rreturn", "an\x1b[31m escape", "a\u2028paragraph", "turned\u202eround", "x" * 501]


@pytest.mark.parametrize("words", ODD)
@pytest.mark.parametrize("key", ["name", "display_name", "terminology"])
def test_a_models_words_are_one_bounded_line_of_letters_or_the_model_is_refused(words: str, key: str) -> None:
    config = to_json(ModelConfig("mine"))
    config["conditions"] = [{"name": "lesion", key: words}]
    with pytest.raises(InputError, match=rf"config\.conditions\[0\]\.{key}") as refusal:
        from_json(ModelConfig, json.loads(json.dumps(config)))
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("words", ["Läsion, größer", "病变", "می‌خواهم", "a b-c_d (1/2)"])
def test_letters_of_every_script_are_names(words: str) -> None:
    assert from_json(ModelConfig, {"name": "m", "conditions": [{"name": words}]}).conditions[0].name == words


def test_no_name_of_a_segment_becomes_a_key_of_its_own(tmp_path) -> None:
    mask = np.zeros((2, 3, 4), bool)
    name, volume = "a\nSegment0_Name:=forged\nb\\n", Volume(mask.astype(np.uint8))
    segment = Segment("lesion", name, mask, (1, 2, 3), "SCT^1^a|TerminologyEntry:forged~SCT^2^b~^^")
    write_segmentation(tmp_path / "x.seg.nrrd", [segment], volume)
    assert read_segmentation(tmp_path / "x.seg.nrrd", volume)[0].name == name
    tags = sitk.ReadImage(str(tmp_path / "x.seg.nrrd")).GetMetaData("Segment0_Tags")
    assert tags.count("TerminologyEntry:") == 2
    assert [tag.partition(":")[0] for tag in tags.split("|")].count("TerminologyEntry") == 1


@pytest.mark.parametrize("words", ["=1+1", "+1", "-1", "@sum", "\t=1"])
def test_no_word_in_a_table_is_a_formula(tmp_path, words: str) -> None:
    lesion = from_json(
        Lesion,
        {
            "number": 1, "condition": words.strip(), "first_slice": 0, "last_slice": 0, "n_slices": 1, "volume_ml": 1.0,
            "area_px": 3, "longest_diameter_mm": 2.0, "mean_probability": 0.7, "peak_probability": 0.9, "mean_doubt": 0.1,
            "centre_lps_mm": [-1.0, 2.0, 3.0], "centre_index": [0.0, 1.0, 1.0],
        },
    )  # fmt: skip
    write_lesions(tmp_path / "lesions.csv", [lesion])
    row = next(csv.DictReader(io.StringIO((tmp_path / "lesions.csv").read_text(encoding="utf-8"))))
    assert row["condition"] == f"'{words.strip()}"
    assert "-1.00" in row.values()  # figures stay figures
    assert in_cell("lesion") == "lesion"


def test_a_terminal_shows_question_marks_where_words_would_steer_it() -> None:
    stream = io.StringIO()
    TerminalReporter(stream).note("scan\x1b[2J\x07.nrrd\n  größe.png")
    assert stream.getvalue() == "scan?[2J?.nrrd\n  größe.png\n"


def test_text_of_a_header_is_one_short_line_and_no_formula_of_a_picture() -> None:
    assert bounded("T2\r\n \x1b]0;x\x07" + "y" * 200) == "T2 ?]0;x?" + "y" * 88 + "..."
    assert in_picture("cost $a$\n\x00") == "cost \\$a\\$\n?"
