"""Score files of raw rows into one Parquet file."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from unbroken.config import PredictConfig
from unbroken.csv.conversion import as_parquet
from unbroken.data.dictionary import decode_field
from unbroken.data.footers import Footer, read_footers
from unbroken.data.parquet import Writer, read_slices
from unbroken.data.sources import SourceFile, find_files
from unbroken.data.verification import read_verified, read_watched
from unbroken.errors import DataError, RegistryError
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.serving.standing import Predictions, Request, rows_to_score
from unbroken.serving.target import MARK, require_target
from unbroken.storage import atomic
from unbroken.storage.temporary import temporary_folder

log = logging.getLogger(__name__)


def score(config: PredictConfig) -> Predictions:
    """Score the rows that the settings name into the file that they name, or into one of model, version and content.

    The latter is not computed again if it stands.

    Raises:
        ConfigError: No model is named, or neither rows nor a round of retraining that brought some.
        DataError: The rows do not fit the model, or they change meanwhile.
        CheckpointError: The model cannot be used.
        RegistryError: The model has no champion.
    """
    config.require_complete()
    if config.target is not None:
        source, files = rows_to_score(config)
        return predict_files(_load(config), source, Path(config.target), config.keep, files, overwrite=config.overwrite)
    request = Request.of(config)
    if (standing := request.standing()) is not None:
        log.info("%s: stands already, nothing is computed", standing.path)
        return standing
    predictor = _load(config)
    if predictor.digest != request.model:
        raise RegistryError(f"{config.model}: another version was promoted meanwhile; run again")
    predictions = read_verified(
        request.files,
        lambda: predict_files(
            *(predictor, request.source, request.target, request.keep, request.files), overwrite=config.overwrite
        ),
    )
    request.write_manifest(predictions)
    return predictions


def predict_files(
    predictor: Predictor,
    data_source: str,
    target: Path,
    keep: tuple[str, ...] = (),
    files: Sequence[SourceFile] | None = None,
    *,
    overwrite: bool = False,
) -> Predictions:
    """Score a source into one Parquet file, a batch at a time; the file takes its name when it is complete.

    Args:
        predictor: The model.
        data_source: The path, folder, glob or URL of Parquet or CSV files.
        target: The Parquet file to write.
        keep: Columns of the source that are copied before the predictions.
        files: Those of the source to score; all when not given.
        overwrite: Whether a target that holds no predictions may be replaced.

    Raises:
        DataError: A column does not fit, the target holds anything but predictions, or the source does not rest.
    """
    files = find_files(data_source) if files is None else list(files)
    require_target(target, data_source, files, overwrite=overwrite)
    atomic.make_folder(target.parent)
    rows = read_watched(files, lambda require_rest: _score(predictor, files, target, keep, require_rest))
    return Predictions(path=str(target), digest=atomic.digest(target), rows=rows, model=predictor.digest)


def _score(
    predictor: Predictor,
    files: list[SourceFile],
    target: Path,
    keep: tuple[str, ...],
    require_rest: Callable[[], None],
) -> int:
    """Write the predictions of files, and return how many there are; the target takes its name only if these did rest."""
    with _footers(predictor, files, target.parent) as footers:
        schema = _output_schema(predictor, footers, keep)
        names = [*keep, *(column.name for column in predictor.encoder.schema.features if column.name not in keep)]
        with Writer(target, schema) as writer:
            for rows in read_slices([footer.file for footer in footers], names):
                predictions = predictor.predict_batch(rows.rows, rows.subject)
                copies = [rows.column(name).cast(schema.field(name).type) for name in keep]
                writer.write(pa.record_batch([*copies, *predictions.columns], schema=schema))
            require_rest()
    return writer.rows


def _load(config: PredictConfig) -> Predictor:
    accept = config.resume.accept_code
    return load_predictor(
        config.model,
        factory=config.factory,
        device=config.device,
        accept_code=accept,
        interval=config.interval,
        public_key=config.public_key,
    )


@contextmanager
def _footers(predictor: Predictor, sources: list[SourceFile], folder: Path) -> Generator[list[Footer]]:
    """Yield the checked footers of a source; CSV is converted into a folder that is gone afterwards."""
    with temporary_folder(folder, "predict") as converted:
        footers = read_footers(as_parquet(sources, converted, predictor.reading), predictor.reading.kinds)
        for footer in footers:
            predictor.check(footer.schema, footer.file.name)
        yield footers


def _output_schema(predictor: Predictor, footers: list[Footer], keep: tuple[str, ...]) -> pa.Schema:
    if clashes := sorted(set(keep) & set(predictor.schema.names)):
        raise DataError(f"predict.keep: {', '.join(clashes)}: a column of the predictions has this name; rename it")
    for footer in footers:
        if missing := [name for name in keep if name not in footer.schema.names]:
            raise DataError(f"{footer.file.name}: no column {', '.join(missing)} to keep")
    copies = [decode_field(footers[0].schema.field(name)) for name in keep] if footers else []
    return pa.schema([*copies, *predictor.schema], MARK)
