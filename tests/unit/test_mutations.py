import pytest

from tests.crash.mutations import MUTATIONS, ROOT, Mutation

every = pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.guard for mutation in MUTATIONS])


@every
def test_each_guard_is_once_in_the_present_source_and_without_it_the_file_still_compiles(mutation: Mutation):
    content = (ROOT / mutation.file).read_text()

    assert content.count(mutation.text) == 1
    compile(content.replace(mutation.text, mutation.without), mutation.file, "exec")


@every
def test_the_tests_that_must_notice_a_missing_guard_are_there(mutation: Mutation):
    for name in mutation.tests.split():
        file, _, test = name.partition("::")
        assert f"\ndef {test}(" in (ROOT / file).read_text()
