"""Stands for Slicer's module SampleData: signature as in Modules/Scripted/SampleData/SampleData.py of Slicer."""

from __future__ import annotations

import hashlib
import types
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import slicer


class SampleDataModule(types.ModuleType):
    """`import SampleData` gives this; `sources` holds what was registered, by category."""

    def __init__(self) -> None:
        super().__init__("SampleData")
        self.sources: dict[str, list[dict[str, Any]]] = {}
        sources, path_of = self.sources, self.path_of

        class SampleDataLogic:
            @staticmethod
            def registerCustomSampleDataSource(
                category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
                thumbnailFileName=None, loadFileTypes=None, loadFiles=None, loadFileProperties=None, checksums=None,
                loadFileType=None,
            ) -> None:  # fmt: skip
                source = {name: value for name, value in locals().items() if name not in ("category",)}
                if source not in sources.setdefault(category, []):
                    sources[category].append(source)
                if hasattr(slicer, "modules"):
                    named = [types.SimpleNamespace(sampleName=each["sampleName"]) for each in sources[category]]
                    slicer.modules.sampleDataSources = {category: named}

            def downloadSamples(self, sampleName: str) -> list[Any]:
                (source,) = [s for group in sources.values() for s in group if s["sampleName"] == sampleName]
                path = path_of(source)
                if "SHA256:" + hashlib.sha256(path.read_bytes()).hexdigest() != source["checksums"]:
                    raise ValueError("the checksum differs")
                if path.suffix == ".png":  # slicer-core reads no PNG
                    from slicer_stand_in.sample_volumes import add_sample

                    return [add_sample(path.name, source["nodeNames"])]
                volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", source["nodeNames"])
                storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
                storage.SetSingleFile(source["loadFileProperties"]["singleFile"])
                storage.SetFileName(str(path))
                if not storage.ReadData(volume):
                    raise ValueError(f"{path} was not read")
                volume.SetAndObserveStorageNodeID(storage.GetID())
                volume.CreateDefaultDisplayNodes()
                return [volume]

        self.SampleDataLogic = SampleDataLogic

    @staticmethod
    def path_of(source: dict[str, Any]) -> Path:
        """The file behind an address, as urllib finds it."""
        return Path(urllib.request.url2pathname(urllib.parse.urlparse(source["uris"]).path))
