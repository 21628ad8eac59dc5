"""A key's load: recent grants against what it can take."""

import pytest

from broker.core.load import HALF_LIFE_S, HEADROOM_TTL_S, KeyLoad
from tests.unit.core.given import NOW


def loaded(grants: int) -> KeyLoad:
    load = KeyLoad()
    for _ in range(grants):
        load.note_grant(NOW)
    return load


def test_grants_count_half_after_ten_seconds() -> None:
    assert KeyLoad().grants(NOW) == 0.0
    assert loaded(8).grants(NOW) == 8.0
    assert loaded(8).grants(NOW + HALF_LIFE_S) == pytest.approx(4.0)
    assert loaded(8).grants(NOW - 5.0) == 8.0


def test_a_heavier_key_feels_less_pressure() -> None:
    assert loaded(3).pressure(4.0, NOW) == 1.0
    assert loaded(3).pressure(1.0, NOW) == 4.0


@pytest.mark.parametrize(
    ("headroom", "pressure"), [(1.0, 1.0), (0.2, 1.0), (0.1, 2.0), (0.01, 20.0), (0.0, 20.0)]
)
def test_below_a_fifth_of_its_limit_a_key_weighs_less(headroom: float, pressure: float) -> None:
    load = KeyLoad()
    load.note_headroom(headroom, NOW)
    assert load.pressure(1.0, NOW) == pytest.approx(pressure)


def test_an_old_reading_of_the_headroom_says_nothing() -> None:
    load = KeyLoad()
    load.note_headroom(0.0, NOW)
    assert load.pressure(1.0, NOW + HEADROOM_TTL_S) == 1.0
