"""Volumes in memory and in files: NIfTI, MetaImage, NRRD, DICOM, pictures."""
