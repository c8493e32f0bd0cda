"""Which URLs may hold a secret. They are refused as settings, and never repeated: what is set is logged and stored."""

import re
from urllib.parse import urlsplit

CONTAINER_SCHEMES = ("abfs", "abfss", "wasb", "wasbs")
"""Azure's, where what stands before the host is a container: `abfs://container@account.dfs.core.windows.net/path`."""

LINK_SCHEMES = ("http", "https")
"""Whose `?` begins a query, where signed links keep their key; elsewhere it can be a glob's wildcard."""

LONGEST_WILDCARD = 8
"""Letters that may follow a `?` and be the rest of a folder's name."""

FILE_NAME = re.compile(r"\.(parquet|parq|pq|csv|tsv|txt|gz|zst|bz2|xz|json|pth)$", re.IGNORECASE)
PASSWORD = re.compile(r"//[^/@]*:[^/]*@|^[^/.][^/]*:[^/]+@[^/]+/|^[A-Za-z][\w+.-]*:/[^/]*:[^/]*@")
"""A user and a password: also where an odd or a missing scheme hides them from the parser, or the password has `::`."""

CHAIN = re.compile(r"(?<!\[)::(?![^/]*\])")
"""What stands between the URLs of a chain; not the `::` of an IPv6 address."""

URL = re.compile(r"[A-Za-z][\w+.-]*:{1,2}/{1,2}[^\s'\"<>]*[^\s'\"<>.,:;)]")


def may_hold_credentials(location: str) -> bool:
    """Tell whether a path or URL, or a chain of URLs, holds a user, a password, a query or a fragment."""
    if PASSWORD.search(location):
        return True
    return any("://" in url and _has_secret_part(url) for url in CHAIN.split(location))


def mask_urls(text: str) -> str:
    """Return a text in which URLs that may hold a secret are shown by their scheme alone."""
    return URL.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    url = match[0]
    whole = re.sub(r":/+", "://", url)  # as it was before it was made a path, where `//` is `/`
    return f"{url.partition(':')[0]}://..." if may_hold_credentials(url) or may_hold_credentials(whole) else url


def _has_secret_part(url: str) -> bool:
    try:
        scheme, host, path, query, fragment = urlsplit(url)
    except ValueError:
        return True  # no URL, and of no part can be said that it holds none
    user, separator, _ = host.rpartition("@")
    if (separator and (":" in user or scheme not in CONTAINER_SCHEMES)) or fragment:
        return True
    if ":" in host and "@" in path + query:  # a password with a mark in it that ends the host
        return True
    return bool(query) and (scheme in LINK_SCHEMES or not _is_glob(path, query))


def _is_glob(path: str, rest: str) -> bool:
    """Tell whether the `?` between the two is a wildcard."""
    if FILE_NAME.search(path) or "&" in rest or "=" in rest.partition("/")[0]:
        return False
    return bool(FILE_NAME.search(rest)) or "/" in rest or "*" in rest or len(rest) <= LONGEST_WILDCARD
