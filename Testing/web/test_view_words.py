"""What stands over the views."""

from __future__ import annotations

import pytest

from ClamSegWeb.view_words import window_words


@pytest.mark.parametrize(
    ("width", "centre", "words"),
    [
        (1400.0, -300.0, "W 1400 L -300"),
        (944.4, 996.04, "W 944 L 996"),
        (2.5, 1.25, "W 2.5 L 1.25"),
        (65535, 0.4, "W 65535 L 0"),
        (300.0, -0.3, "W 300 L 0"),
    ],
)
def test_width_and_centre_are_whole_numbers_where_grey_values_are_large(
    width: float, centre: float, words: str
) -> None:
    assert window_words(width, centre) == words
