"""Setup: packages, engines, models, bundles and the support file."""
