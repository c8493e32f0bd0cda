"""One healer a server, on a real one: nobody acts beside another, and the place of a dead one is taken."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from unbroken.deployment.healing.lease import NAME, Lease


@pytest.fixture
def client(prefect_server: str) -> Generator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client
        if client.read_variable_by_name(NAME):
            client.delete_variable_by_name(NAME)


def test_one_holds_it_as_long_as_it_renews_it(client: SyncPrefectClient):
    first, second = Lease("first", 10), Lease("second", 10)

    for _ in range(5):
        assert first.hold(client, 6)
        assert not second.hold(client, 6)

    variable = client.read_variable_by_name(NAME)
    assert variable is not None
    assert variable.value == {"holder": "first", "count": 4}


def test_another_takes_the_place_of_one_that_died_and_one_that_only_slept_notices_it(client: SyncPrefectClient):
    first, second = Lease("first", 10), Lease("second", 10)
    assert first.hold(client, 0)

    assert [second.hold(client, elapsed) for elapsed in (0, 6, 6)] == [False, False, True]
    assert not first.hold(client, 100)
    assert second.hold(client, 6)


def test_the_successor_of_one_of_the_same_machine_and_folder_begins_at_once(client: SyncPrefectClient):
    assert Lease("first", 10).hold(client, 0)

    assert Lease("first", 10).hold(client, 0)


def test_one_that_ends_orderly_leaves_its_place_free(client: SyncPrefectClient):
    first = Lease("first", 10)
    assert first.hold(client, 0)

    first.release(client)

    assert Lease("second", 10).hold(client, 0)


def test_of_many_that_reach_for_it_at_once_one_gets_it(client: SyncPrefectClient):
    assert Lease("dead", 10).hold(client, 0)
    leases = [Lease(f"healer {number}", 10) for number in range(8)]
    for lease in leases:
        lease.hold(client, 0)

    def reach(lease: Lease) -> bool:
        with get_client(sync_client=True) as own:
            return lease.hold(own, 11)

    with ThreadPoolExecutor(len(leases)) as pool:
        assert sum(pool.map(reach, leases)) == 1
