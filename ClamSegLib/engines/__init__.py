"""What runs a network: torch, OpenVINO, MNN; the choice among them, export."""
