"""How many processes a study takes."""

from opclock.studies.processes import usual_processes


def test_where_memory_is_short_a_study_takes_one_process():
    assert [usual_processes(gigabytes * 10**9) for gigabytes in (64, 4, 2, 1)] == [3, 3, 1, 1]
