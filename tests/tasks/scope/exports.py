"""Exports from a twin as people make them: logs and records in files of every kind and shape."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tasks.incident import Window
from tasks.scope.markers import place_markers
from tasks.scope.reader import OrgReader
from tasks.scope.sources import collect
from tests.tasks.scope.attack import Twin

OBJECTS = ("Account", "Contact", "Lead", "Case", "CaseComment", "EmailMessage", "Order", "OrderItem", "User")
_LEFT_OUT = ("base64", "address", "location")


def logs_of(twin: Twin, window: Window, folder: Path) -> dict[str, pd.DataFrame]:
    """All event logs of the window, complete, by type."""
    from datetime import UTC, datetime

    reader = OrgReader(twin.org)
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    logs = collect(reader, window, folder, place_markers(reader), now=now, wait_s=30)
    assert logs.complete
    return dict(logs.events)


def records_of(twin: Twin, name: str, *, all_rows: bool = True) -> pd.DataFrame:
    """Every field of every record of an object that its describe names."""
    reader = OrgReader(twin.org)
    shape = reader.shape.get(name)
    assert shape is not None
    fields = [f.name for f in shape.fields if f.type not in _LEFT_OUT]
    return reader.frame(name, fields, all_rows=all_rows)


def as_csv(frame: pd.DataFrame, *, delimiter: str = ",", columns: Sequence[str] = ()) -> str:
    """Quoted as exports are; `columns` chooses and orders."""
    chosen = frame[list(columns)] if columns else frame
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, delimiter=delimiter, lineterminator="\n")
    writer.writerow(chosen.columns)
    writer.writerows(chosen.itertuples(index=False))
    return out.getvalue()


def write(path: Path, text: str, *, bom: bool = False) -> None:
    """Plain, or gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8-sig" if bom else "utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
