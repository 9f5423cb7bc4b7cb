"""What the Slicer panel and the page share: scene, case, training and processes, without Qt and without a browser."""
