"""Many cases: resumed, listed in tables, spread over workers, chosen from a tree of DICOM or a PACS, named without patients."""
