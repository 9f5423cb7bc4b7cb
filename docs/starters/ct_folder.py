"""Makes the labelled folders that the CT models learn from, out of the data sets they are named after.

    python docs/starters/ct_folder.py chest_ct lidc_ct covid_ct_md --every-patient
    python docs/starters/ct_folder.py head_ct ich_ct

The normal classes of all sources become one. No organ mask is taken over: the project's own organ step finds the organ,
as it will in use. Where a patient has a volume in HU and millimetres, its rows name slices of that, not the pictures made of it.
Files are copied, because a table's paths may not lead out of its folder.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

COLUMNS = ("image_path", "label", "patient_id", "split", "slice_index", "n_slices", "lesion_mask_path", "modality")


def rows_of(source: Path, *, every_patient: bool) -> list[dict[str, str]]:
    """The rows of a labelled folder, with the columns that are taken over."""
    with (source / "labels.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    found = []
    for line in lines:
        row = {name: line.get(name, "") for name in COLUMNS} | {"modality": "CT"}
        row["label"] = line["label_name"] if line["label"] == "1" else "normal"
        if every_patient:
            row["split"] = "train"
        volume, lesion = (f"volumes/{line['patient_id']}_{kind}.nii.gz" for kind in ("ct", "lesion"))
        if (source / volume).is_file():
            row |= {"image_path": volume, "n_slices": ""}
            row["lesion_mask_path"] = lesion if row["label"] != "normal" else ""
        found.append(row)
    return found


def main() -> None:
    """Writes OUTPUT/labels.csv and copies what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("sources", type=Path, nargs="+", help="labelled folders with a labels.csv")
    parser.add_argument("--every-patient", action="store_true", help="all rows to the split train")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True)
    with (asked.output / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for source in asked.sources:
            rows = rows_of(source, every_patient=asked.every_patient)
            for path in sorted({row[name] for row in rows for name in ("image_path", "lesion_mask_path")} - {""}):
                (asked.output / path).parent.mkdir(exist_ok=True)
                shutil.copyfile(source / path, asked.output / path)
            table.writerows(rows)


if __name__ == "__main__":
    main()
