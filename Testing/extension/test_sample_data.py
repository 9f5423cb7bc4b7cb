"""The shipped samples in Slicer's Sample Data: from files, checked, once."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
from sample_data_module import SampleDataModule

from ClamSegPanel.sample_data import register, source_of
from ClamSegWorkflow.case.samples import sample_name, shipped_samples


@pytest.fixture
def slicer_samples(monkeypatch: pytest.MonkeyPatch) -> SampleDataModule:
    module = SampleDataModule()
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return module


def test_every_sample_is_registered_from_a_file_with_its_checksum_and_a_thumbnail(
    slicer_samples: SampleDataModule,
) -> None:
    assert register() == len(shipped_samples()) > 2
    sources = slicer_samples.sources["ClamSeg"]
    assert {source["sampleName"] for source in sources} >= {"ClamSeg Chest CT", "ClamSeg Chest X-ray"}
    for source in sources:
        assert source["uris"].startswith("file:///"), "nothing is downloaded"
        path = slicer_samples.path_of(source)
        algorithm, digest = source["checksums"].split(":")
        assert algorithm == "SHA256"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        asks = source["customDownloader"] is not None
        assert asks == ("NonCommercial" in path.parts)
        assert asks or Path(source["thumbnailFileName"]).is_file(), (
            "a picture under another licence stays in its folder"
        )
        assert source["fileNames"].startswith("ClamSeg-"), "the cache is shared with all other samples"


def test_a_second_registration_adds_nothing(slicer_samples: SampleDataModule) -> None:
    register()
    register()
    assert len(slicer_samples.sources["ClamSeg"]) == len(shipped_samples())


def test_a_path_with_spaces_and_letters_of_other_scripts_comes_back_from_the_address(tmp_path: Path) -> None:
    path = tmp_path / "Röntgen bild" / "xray_chest.png"
    path.parent.mkdir()
    path.write_bytes(b"x")
    source = source_of({"name": "xray-chest", "title": "Chest X-ray", "sha256": "0" * 64}, path)
    assert SampleDataModule().path_of(source) == path


def test_without_sample_data_or_without_resources_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slicer_samples: SampleDataModule
) -> None:
    monkeypatch.setenv("CLAMSEG_RESOURCES", str(tmp_path / "gone"))
    assert register() == 0
    (tmp_path / "Samples").mkdir()
    (tmp_path / "Samples" / "samples.json").write_text("[{]")
    monkeypatch.setenv("CLAMSEG_RESOURCES", str(tmp_path))
    assert register() == 0
    monkeypatch.delenv("CLAMSEG_RESOURCES")
    monkeypatch.setitem(sys.modules, "SampleData", None)
    assert register() == 0


@pytest.mark.parametrize("index", range(len(shipped_samples())))
def test_the_name_of_a_sample_leads_to_its_model(index: int, scene: Any) -> None:
    from slicer_stand_in.sample_volumes import add_sample

    from ClamSegLib.model.registry import list_models
    from ClamSegWorkflow.case.model_fit import suggest_model
    from ClamSegWorkflow.scene.volume_facts import facts_of

    sample, path = shipped_samples()[index]
    volume = add_sample(path.name, sample_name(sample))
    assert suggest_model(list_models(), facts_of(scene, volume)) == sample["model"]
