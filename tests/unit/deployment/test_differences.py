"""What is other on a server is shown by its place, with both values."""

from unbroken.deployment.differences import differences


def shown(on_server: dict, in_project: dict) -> list[str]:
    return [str(difference) for difference in differences(on_server, in_project)]


def test_what_is_equal_or_not_declared_is_no_difference():
    assert shown({"paused": False, "id": 3, "tags": ["a"]}, {"paused": False, "tags": ["a"]}) == []


def test_a_value_inside_is_shown_by_its_place_and_the_field_that_an_update_names():
    on_server = {"parameters": {"config": {"model": "other", "extra": 1}}, "paused": True}
    in_project = {"parameters": {"config": {"model": "flights", "train": {}}}, "paused": False}

    found = differences(on_server, in_project)

    assert [str(difference) for difference in found] == [
        'parameters.config.model: "other" -> "flights"',
        "parameters.config.train: nothing -> {}",
        "parameters.config.extra: 1 -> nothing",
        "paused: true -> false",
    ]
    assert [difference.field for difference in found] == ["parameters", "parameters", "parameters", "paused"]


def test_schedules_are_compared_one_by_one_where_there_are_as_many():
    nightly = {"schedule": {"cron": "0 3 * * *"}, "active": True}

    assert shown({"schedules": [nightly | {"active": False}]}, {"schedules": [nightly]}) == [
        "schedules[0].active: false -> true"
    ]
    assert shown({"schedules": []}, {"schedules": [nightly]})[0].startswith('schedules: [] -> [{"schedule": {"cron"')


def test_a_long_value_is_cut():
    (line,) = shown({"description": "a" * 500}, {"description": None})

    assert line == f'description: "{"a" * 156}... -> nothing'
