"""What a task says in the log: one line with its result."""

import logging

import pytest
from prefect import flow

from unbroken.orchestration.task_decorators import uncached_task

pytestmark = pytest.mark.usefixtures("prefect_server")


@uncached_task
def count_rows() -> str:
    return "12 rows"


@flow
def counting() -> str:
    return count_rows()


def test_a_task_logs_its_result_and_not_that_prefect_calls_the_function_which_does(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        counting()

    messages = [record.getMessage() for record in caplog.records]
    assert [message for message in messages if "12 rows" in message] == ["count_rows      12 rows"]
    assert [message for message in messages if "hook" in message.lower() or "log_result" in message] == []
