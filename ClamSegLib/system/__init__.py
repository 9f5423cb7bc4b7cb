"""Errors, progress, atomic output, paths, devices, processes, memory: what every room stands on."""
