"""Videos, image folders and DICOM become clips."""
