"""Which modules of a user's own build a model is found in their source, and nothing is executed for it."""

from pathlib import Path

import pytest

from unbroken.code.imports import own_modules
from unbroken.errors import ConfigError

FAILS = "raise RuntimeError('executed')\n"


def write(folder: Path, **sources: str) -> None:
    """Write modules, `__` in their names as a folder."""
    for name, source in sources.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FAILS + source)


def test_modules_are_followed_from_one_to_the_next_and_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(
        tmp_path,
        net_a="import net_b, os, torch, unbroken.run",
        net_b="def f():\n  from net_c import g",
        net_c="import net_a",
    )

    assert [*own_modules("net_a")] == ["net_a", "net_b", "net_c"]


def test_packages_count_with_what_they_import_by_relative_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(
        tmp_path,
        nets__sub__deep="from ..parts import layer\nfrom . import near\nfrom .. import far",
        nets__parts="layer = 1",
    )
    write(tmp_path, nets__sub__near="", nets__far="", nets__idle="")
    (tmp_path / "nets/__init__.py").write_text(FAILS)
    (tmp_path / "nets/sub/__init__.py").write_text(FAILS)

    expected = ["nets", "nets.far", "nets.parts", "nets.sub", "nets.sub.deep", "nets.sub.near"]
    assert [*own_modules("nets.sub.deep")] == expected


def test_a_folder_without_init_is_a_package_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, plain__inner__net="from plain.inner import part", plain__inner__part="")

    assert [*own_modules("plain.inner.net")] == ["plain.inner.net", "plain.inner.part"]


def test_installed_packages_are_not_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = tmp_path / "lib" / "site-packages"
    write(installed, shop="")
    write(tmp_path, net_of_shop="import shop")
    monkeypatch.syspath_prepend(installed)
    monkeypatch.syspath_prepend(tmp_path)

    assert [*own_modules("net_of_shop")] == ["net_of_shop"]
    assert [*own_modules("shop")] == ["shop"]


def test_source_that_is_no_python_counts_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, net_broken="import net_worse", net_worse="print 'old'")
    previous = own_modules("net_broken")
    write(tmp_path, net_worse="print 'new'")

    assert own_modules("net_broken")["net_worse"] != previous["net_worse"]


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"found no module 'no_such_package\.net'"):
        own_modules("no_such_package.net")
