import numpy as np
import pytest

from ClamSegLib.evaluation.calibration import calibration_error, chance_by_labels, rising, squared_error
from ClamSegLib.evaluation.reliability import DISAGREEMENT, DOUBT, Reliability, risk_coverage
from ClamSegLib.evaluation.scoreboard import SliceFigures

ORGAN = np.ones((16, 16), bool)


def counts(**pixels: int) -> np.ndarray:
    """(256,) with `s12=5` for five pixels of step 12."""
    found = np.zeros(256, np.int64)
    for name, number in pixels.items():
        found[int(name[1:])] = number
    return found


def test_what_normal_slices_cannot_explain_in_diseased_ones_is_lesion():
    # Healthy tissue: nine tenths at step 0, a tenth at 200, in both kinds of slice; 500 lesion pixels at 200 as well.
    normal = counts(s0=9000, s200=1000)
    diseased = counts(s0=4050, s200=450 + 500)
    chance = chance_by_labels(normal, diseased)
    assert chance[0] == pytest.approx(0, abs=1e-9)
    assert chance[200] == pytest.approx(500 / (1000 + 950))


def test_chances_rise_with_p_l_although_counts_do_not():
    rng = np.random.default_rng(0)
    chance = chance_by_labels(rng.integers(1, 50, 256), rng.integers(1, 50, 256))
    assert (np.diff(chance) >= -1e-12).all()
    assert 0 <= chance.min() <= chance.max() <= 1


def test_without_one_of_the_classes_there_is_no_chance():
    assert chance_by_labels(counts(s0=10), counts()) is None
    assert chance_by_labels(counts(), counts(s0=10)) is None


def test_the_rising_sequence_pools_what_falls_by_weight():
    assert rising(np.array([1.0, 3.0, 1.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0])) == pytest.approx([1, 1.5, 1.5, 4])


def test_errors_of_chances_are_those_worked_by_hand():
    chance, lesion, every = np.array([0.2, 0.9]), np.array([1, 8]), np.array([10, 10])
    assert calibration_error(chance, lesion, every) == pytest.approx((abs(2 - 1) + abs(9 - 8)) / 20)
    by_hand = (1 * 0.8**2 + 9 * 0.2**2 + 8 * 0.1**2 + 2 * 0.9**2) / 20
    assert squared_error(chance, lesion, every) == pytest.approx(by_hand)
    assert calibration_error(chance, np.zeros(2), np.zeros(2)) is None


def test_a_sign_that_knows_all_errors_keeps_only_right_pixels():
    curve = risk_coverage(np.array([0, 1]), np.array([0, 10]), np.array([90, 10]))
    assert curve.error_auc == 1
    assert curve.figures()["risk_at_90"] == 0
    assert curve.risk[-1] == pytest.approx(0.1)


def test_a_sign_that_says_the_same_everywhere_tells_nothing():
    curve = risk_coverage(np.array([3]), np.array([10]), np.array([100]))
    assert curve.error_auc == 0.5
    assert curve.figures()["risk_area"] == pytest.approx(0.1)


def slice_of(
    kind: Reliability, shown: np.ndarray, apart: np.ndarray, reference: np.ndarray | None, patient: str
) -> None:
    diseased = reference is None or bool(reference.any())
    kind.add_slice(shown, apart, ORGAN, reference, patient=patient, diseased=diseased, dice=0.5 if diseased else None)


def half(value: int) -> np.ndarray:
    """A map whose left half has the value."""
    found = np.zeros((16, 16), np.uint8)
    found[:, :8] = value
    return found


def test_disagreement_that_lies_on_the_errors_is_told_from_one_that_does_not():
    knows, blind = Reliability(0.5), Reliability(0.5)
    shown, reference = half(200), half(1).astype(bool)
    reference[:8] = False  # the upper half of the prediction is wrong
    apart = np.zeros((16, 16), np.uint8)
    apart[:8, :8] = 90
    slice_of(knows, shown, apart, reference, "a")
    slice_of(blind, shown, half(90), reference, "a")
    assert knows.curves(predicted_only=True)[DISAGREEMENT].error_auc == 1
    assert blind.curves(predicted_only=True)[DISAGREEMENT].error_auc == 0.5
    assert knows.figures()["predicted"]["wrong"] == 0.5
    assert knows.figures()["organ"]["wrong"] == 0.25


def test_a_single_branch_has_no_disagreement_to_judge():
    single = Reliability(0.5)
    slice_of(single, half(200), np.zeros((16, 16), np.uint8), half(1).astype(bool), "a")
    assert list(single.curves(predicted_only=False)) == [DOUBT]


def test_slices_without_outline_count_for_labels_and_not_for_errors():
    kind = Reliability(0.5)
    slice_of(kind, half(200), half(0), None, "a")
    slice_of(kind, half(200), half(0), np.zeros((16, 16), bool), "a")
    assert kind.figures() is None
    assert kind.by_label["a"].sum() == 2 * ORGAN.sum()


def with_patients(number: int) -> Reliability:
    """Patients with a normal and a diseased slice: P_L is 0.8 on the left half of all, lesion in one of two slices."""
    kind = Reliability(0.5)
    for patient in range(number):
        slice_of(kind, half(204), half(0), np.zeros((16, 16), bool), str(patient))
        slice_of(kind, half(204), half(0), half(1).astype(bool), str(patient))
    return kind


def test_a_patient_is_calibrated_by_the_labels_of_others_only():
    kind = with_patients(5)
    kind.by_label["0"][1] = 10**9  # would change everything that is learned from it
    chances = kind.chances()
    assert chances["0"] == pytest.approx(with_patients(5).chances()["0"])
    assert chances["1"] != pytest.approx(with_patients(5).chances()["1"])


def test_fewer_than_five_patients_calibrate_nothing():
    assert with_patients(4).chances() is None
    assert with_patients(4).figures()["chance_by_image_labels"] is None
    assert with_patients(5).figures()["chance_by_image_labels"] is not None


def figures_of(score: float, diseased: bool, value: float) -> SliceFigures:
    kind = {"dice": value} if diseased else {"false_positive_area": value}
    return SliceFigures("a", 0, diseased, score, **kind)
