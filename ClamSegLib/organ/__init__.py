"""Where the organ lies, the crop around it and its values."""
