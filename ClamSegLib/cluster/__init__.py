"""Pieces of work spread over Dask's workers: on this machine, at an address, or as jobs of a queue such as SLURM."""
