"""Bad files and bad URLs."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from tests.unit.bad.cases import (
    CSV,
    GOOD,
    Source,
    content,
    data,
    table,
    text,
)
from tests.unit.stages import write
from unbroken.config import CsvConfig


def damaged(change: Callable[[bytearray], bytes | bytearray]) -> Source:
    def make(folder: Path) -> Path:
        path = Path(write(folder / "in/a.parquet", GOOD, write_page_checksum=True, compression="none"))
        path.write_bytes(change(bytearray(path.read_bytes())))
        return path

    return make


def flipped(whole: bytearray) -> bytearray:
    whole[60] ^= 4
    return whole


def encrypted(*, plain_footer: bool) -> Source:
    class Wrap(pe.KmsClient):
        def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
            return key_bytes.hex().encode()

        def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
            return bytes.fromhex(wrapped_key.decode())

    def make(folder: Path) -> Path:
        path = folder / "in/a.parquet"
        path.parent.mkdir(parents=True)
        settings = pe.EncryptionConfiguration("key", column_keys={"key": ["x"]}, plaintext_footer=plain_footer)
        properties = pe.CryptoFactory(lambda _: Wrap()).file_encryption_properties(pe.KmsConnectionConfig(), settings)
        with pq.ParquetWriter(path, pa.table(GOOD).schema, encryption_properties=properties) as writer:
            writer.write_table(pa.table(GOOD))
        return path

    return make


def mixed_formats(folder: Path) -> Path:
    content("b.csv", CSV)(folder)
    table(GOOD)(folder)
    return folder / "in"


def two_tables_of_text(folder: Path) -> Path:
    content("a.csv", CSV)(folder)
    content("b.csv", "x,label\nmany,0\nfew,1\n")(folder)
    return folder / "in"


def mixed_layouts(folder: Path) -> Path:
    write(folder / "in/year=2013/a.parquet", GOOD)
    write(folder / "in/month=1/a.parquet", GOOD)
    return folder / "in"


def empty_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    return folder / "in"


def dangling(folder: Path) -> Path:
    empty_folder(folder)
    (folder / "in/a.parquet").symlink_to(folder / "nowhere.parquet")
    return folder / "in"


FILES = {
    "a file that is not there": data("nowhere.parquet: no such file", lambda folder: folder / "nowhere.parquet"),
    "a folder without data": data("found no file that ends in .parquet", empty_folder),
    "a glob without a match": data("no data there", lambda folder: folder / "in/*.parquet"),
    "an unknown ending": data(("notes.txt", "unknown kind of file"), content("notes.txt", "x")),
    "a file of the system": data("/etc/passwd: unknown kind of file", text("/etc/passwd")),
    "a way out of the folder": data("no such file", lambda folder: folder / "in/../../../nowhere.csv"),
    "a link to nothing": data(("a.parquet: cannot be read", "No such file"), dangling),
    "Parquet and CSV together": data("found csv and parquet files; expected one format", mixed_formats),
    "two partition layouts": data(("partitioned by ('month',)", "('year',)"), mixed_layouts),
    "an empty Parquet file": data(("a.parquet", "cannot be read", "0 bytes"), content("a.parquet", b"")),
    "a Parquet file cut in half": data(
        ("a.parquet", "cannot be read"), damaged(lambda whole: whole[: len(whole) // 2])
    ),
    "a Parquet file without its end": data(("a.parquet", "cannot be read"), damaged(lambda whole: whole[:-1])),
    "another kind of file by a Parquet name": data(
        ("a.parquet", "magic bytes"), content("a.parquet", b"PK\x03\x04 a zip file, say")
    ),
    "a Parquet file with a broken footer": data(
        ("a.parquet", "cannot be read"), damaged(lambda whole: whole[:-40] + b"\xff" * 30 + whole[-10:])
    ),
    "a flipped bit in a page": data(("a.parquet: row group 0", "CRC"), damaged(flipped)),
    "an encrypted Parquet file": data(("a.parquet", "cannot be read", "crypt"), encrypted(plain_footer=False)),
    "an encrypted column": data(("a.parquet", "crypt"), encrypted(plain_footer=True)),
    "a Parquet file of no rows": data("found 0 rows", table({"x": [], "label": []})),
    "a Parquet file of no columns": data("found 0 rows", table(pa.table({}))),
    "a CSV file of nothing": data(("a.csv", "cannot be read"), content("a.csv", "")),
    "a CSV file of a header alone": data("found 0 rows", content("a.csv", "x,label\n")),
    "a CSV file of one column": data("no feature is left", content("a.csv", "label\n0\n1\n")),
    "a CSV file with ragged rows": data(
        ("a.csv", "found a row of 3 fields, expected 2", "7,8,9"), content("a.csv", CSV + "7,8,9\n")
    ),
    "a CSV file with a short row": data(
        ("a.csv", "found a row of 1 fields, expected 2", "'7'"), content("a.csv", CSV + "7\n")
    ),
    "a CSV file of UTF-8 with a damaged character": data(
        ("a.csv: byte 1090", "not UTF-8, though other characters of the file are", "data.csv.encoding"),
        content("a.csv", b"x,label\n" + "größe,0\nähre,1\n".encode() * 60 + "größe,0\n".encode("latin-1")),
    ),
    "a CSV file of zero bytes": data(("a.csv", "zero bytes", "is it a CSV file"), content("a.csv", b"\0\1\2" * 99)),
    "a CSV file in an encoding it is not in": data(
        ("a.csv: cannot be read as ascii", "data.csv.encoding"),
        content("a.csv", "größe,label\n1,0\n"),
        csv=CsvConfig(encoding="ascii"),
    ),
    "a CSV file with a column twice": data(
        ("column x: found it 2 times", "expected once"), content("a.csv", "x,x,label\n" + "1,2,0\n3,4,1\n" * 9)
    ),
    "a CSV file whose numbers end in text": data(
        ("b.csv", "column x: found category (string), expected number", "a.csv"),
        two_tables_of_text,
    ),
    "a gzip file that is none": data(("a.csv.gz", "cannot be read"), content("a.csv.gz", CSV)),
    "a gzip file cut in half": data(
        ("a.csv.gz", "cannot be read"), content("a.csv.gz", gzip.compress(CSV.encode())[:100])
    ),
    "a gzip file with a flipped bit": data(
        ("a.csv.gz", "cannot be read"), content("a.csv.gz", gzip.compress(CSV.encode())[:-8] + b"\0" * 8)
    ),
}

URLS = {
    "a scheme that no one knows": data(("gopher://host/a.csv", "cannot be opened"), text("gopher://host/a.csv")),
    "data in the URL itself": data(("data:,x,y", "data names no place where files lie"), text("data:,x,y")),
    "data in a URL with slashes": data("data names no place", text("data://x,y")),
    "a reference to other files": data("reference names no place", text("reference://a.parquet")),
    "a folder of another file system": data("dir names no place", text("dir://a.parquet")),
    "a cache of another file system": data("simplecache names no place", text("simplecache://a.parquet")),
    "an archive of no file": data("zip names no place", text("zip://a.csv")),
    "a repository without its owner": data("cannot be opened", text("github://a.csv")),
    "a scheme in capitals": data("cannot be opened: Protocol not known: S3", text("S3://bucket/a.csv")),
    "a scheme whose package is missing": data(("gs://bucket/a.parquet", "gcsfs"), text("gs://bucket/a.parquet")),
    "a file URL to nowhere": data("no such file or folder", text("file:///nowhere/a.parquet")),
    "a file URL with a host": data("no such file or folder", text("file://host/share/a.parquet")),
    "a file URL out of its folder": data("unknown kind of file", text("file:///tmp/../etc/passwd")),
    "a password in a URL": data("data.source: found credentials", text("s3://user:password@bucket/a.parquet")),
    "a user in a URL": data("data.source: found credentials", text("sftp://user@host/a.parquet")),
    "a key in the query of a URL": data(
        "data.source: found credentials or a query", text("https://host/a.csv?key=abc")
    ),
    "a chained URL": data("data.source: found 'simplecache::file:///a.csv'", text("simplecache::file:///a.csv")),
    "an archive in a URL": data("without ::", text("zip://a.csv::file:///b.zip")),
    "a memory that holds nothing": data("no such file", text("memory://empty/a.parquet")),
    "no source": data("data.source: found nothing", text("")),
    "a source of spaces": data("data.source: found '  '", text("  ")),
    "a source with a null character": data("null character", text("a\0.parquet")),
}
