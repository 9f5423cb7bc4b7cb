"""Studies, benchmarks and peers, for developers; not installed in Slicer."""
