"""`make bench-scope`: scoping by this project and by hand, on the same files, answers compared byte for byte.

Fair means: like against like. From CSV, every engine reads the same exported CSV files of logs and records
and keeps nothing. From the lake, every engine reads the Parquet files, the hourly cube and the map of
records to people that were prepared before; what preparing costs is shown by itself. By hand, the engines
know this data (its columns, its phone spellings, that no file is broken or there twice); this project knows
none of it.

Each variant runs in a process of its own, so that its peak memory is its own. Sizes are millions of events,
or events:records (`--sizes 1,10`, `--sizes 50:10`); records are as many as events, at most 10 million. A
second size also shows how time grows. Where other work shares the cores, go by the CPU seconds.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.generate import Manifest, generate

VARIANTS = {
    "bytes alone": "tests.bench.__main__:read_bytes",
    "prepare events": "tests.bench.ours:prepare_events",
    "prepare people": "tests.bench.ours:prepare_people",
    "this project, lake": "tests.bench.ours:from_lake",
    "DuckDB, lake": "tests.bench.by_hand:duckdb_lake",
    "Polars, lake": "tests.bench.polars_by_hand:polars_lake",
    "this project, CSV": "tests.bench.ours:from_files",
    "DuckDB, CSV": "tests.bench.by_hand:duckdb_files",
    "Polars, CSV": "tests.bench.polars_by_hand:polars_files",
    "plain pandas, CSV": "tests.bench.by_hand:plain_pandas",
}
PANDAS_MOST = 10_000_000  # beyond this plain pandas needs more memory than these machines have
PANDAS_GIB = 1.4  # for each million events and million records, measured
RECORDS_MOST = 10_000_000
AIM = 1.2  # times the best by hand


def read_bytes(folder: Path) -> str:
    for part in ("logs", "records"):
        for path in sorted((folder / part).iterdir()):
            with path.open("rb", buffering=0) as file:
                while file.read(4 * 1024 * 1024):
                    pass
    return ""


def run_one(target: str, folder: Path) -> None:
    """In a process of its own: one line of JSON on standard output."""
    module, _, function = target.partition(":")
    call = getattr(importlib.import_module(module), function)
    began, cpu = time.perf_counter(), time.process_time()
    found = call(folder)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer = found if isinstance(found, str) else ""
    print(json.dumps({"wall": wall, "cpu": used, "peak": peak, "load": os.getloadavg()[0], "answer": answer}))


def _free_gib() -> float:
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"))
    return int(found[1]) / 2**20 if found else float("inf")


def measure(name: str, folder: Path, timeout_s: float, events: int) -> dict[str, object]:
    needs = events / 1e6 * PANDAS_GIB
    if "pandas" in name and needs > (free := _free_gib()):
        return {"skipped": f"needs about {needs:.0f} GiB, {free:.0f} GiB are free"}
    if "Polars" in name and importlib.util.find_spec("polars") is None:
        return {"skipped": "polars is not installed (extra `bench`)"}
    command = [sys.executable, "-m", "tests.bench", "--run", VARIANTS[name], str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return {"skipped": f"not done after {timeout_s:.0f} s"}
    if done.returncode:
        return {"skipped": f"failed ({done.returncode}): {done.stderr.strip().splitlines()[-1:]}"}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def bench(
    folder: Path, events: int, records: int, timeout_s: float, only: list[str]
) -> dict[str, dict[str, object]]:
    print(f"\n{events:,} events, {records:,} records: writing the files ...", flush=True)
    made = generate(folder, events, records)
    print(
        f"{made.files:,} files, {made.bytes / 1e9:.2f} GB, {made.line_breaks:,} line breaks in values",
        flush=True,
    )
    print(f"{'':22}{'wall s':>9}{'CPU s':>9}{'peak GiB':>10}{'load':>7}", flush=True)
    results: dict[str, dict[str, object]] = {}
    for name in VARIANTS:
        if (only and name not in only) or ("pandas" in name and events > PANDAS_MOST):
            continue
        one = results[name] = measure(name, folder, timeout_s, events)
        if "skipped" in one:
            print(f"{name:22}{one['skipped']}", flush=True)
            continue
        print(
            f"{name:22}{one['wall']:9.2f}{one['cpu']:9.2f}{float(str(one['peak'])) / 2**30:10.2f}"
            f"{one['load']:7.1f}",
            flush=True,
        )
    compare(results, made)
    return results


def compare(results: dict[str, dict[str, object]], made: Manifest) -> None:
    """The answers must be one; and hold at least what the generator knows it wrote."""
    answers = {name: one["answer"] for name, one in results.items() if one.get("answer")}
    for name, given in answers.items():
        if given != next(iter(answers.values())):
            raise SystemExit(f"{name} gives another answer than {next(iter(answers))}.")
    if not answers:
        return
    value = json.loads(str(next(iter(answers.values()))))
    named = sum(row[3] for row in value["sums"] if row[2] and row[0] != "UniqueQuery")
    if named < made.attack_events:
        raise SystemExit(f"{named} certain events found, but {made.attack_events} were written.")
    print(
        f"answers equal: yes ({len(answers)}, byte for byte; {named:,} certain events of "
        f"{made.attack_events:,} written)"
    )
    _ratios(results)


def _of(results: dict[str, dict[str, object]], what: str) -> dict[str, float]:
    return {name: float(str(one[what])) for name, one in results.items() if what in one}


def _ratios(results: dict[str, dict[str, object]]) -> None:
    """Against the best by hand and against plain pandas, by wall and by CPU seconds."""
    wall, cpu = _of(results, "wall"), _of(results, "cpu")
    for place in ("lake", "CSV"):
        ours, others = f"this project, {place}", [f"DuckDB, {place}", f"Polars, {place}"]
        there = [name for name in others if name in wall]
        if ours in wall and there:
            print(
                f"from {place}: {wall[ours] / min(wall[n] for n in there):.2f} x the best by hand, by CPU "
                f"{cpu[ours] / min(cpu[n] for n in there):.2f} x (aim: at most {AIM})"
            )
    plain, lake = "plain pandas, CSV", "this project, lake"
    if plain in wall and lake in wall:
        print(
            f"from the lake: {wall[plain] / wall[lake]:.0f} x faster than plain pandas, by CPU "
            f"{cpu[plain] / cpu[lake]:.0f} x (aim at 10 million: at least 20)"
        )


def growth(sizes: list[tuple[int, int]], all_results: list[dict[str, dict[str, object]]]) -> None:
    for (one, _), (two, _), first, second in zip(
        sizes, sizes[1:], all_results, all_results[1:], strict=False
    ):
        for name in ("this project, lake", "this project, CSV"):
            if "wall" in first.get(name, {}) and "wall" in second.get(name, {}):
                wall, cpu = (_of(second, w)[name] / _of(first, w)[name] for w in ("wall", "cpu"))
                print(f"{name}: {two / one:.0f} times the events in {wall:.1f} times the time, CPU {cpu:.1f}")


def sizes_of(text: str) -> list[tuple[int, int]]:
    """`1,10` or `50:10`: millions of events, and of records where they are not as many."""
    found = []
    for size in text.split(","):
        events, _, records = size.partition(":")
        count = round(float(events) * 1_000_000)
        found.append((count, round(float(records) * 1_000_000) if records else min(count, RECORDS_MOST)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-scope", description=__doc__)
    parser.add_argument("--sizes", default="1,10", help="millions of events, or events:records, with commas")
    parser.add_argument(
        "--dir", type=Path, default=Path(".leak-response/bench"), help="where the files are kept"
    )
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one variant")
    parser.add_argument("--only", default="", help="names of variants, `;` between them")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--run", nargs=2, metavar=("TARGET", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run_one(given.run[0], Path(given.run[1]))
        return
    sizes = sizes_of(given.sizes)
    only = [name.strip() for name in given.only.split(";") if name.strip()]
    results = [bench(given.dir / f"{e}-{r}", e, r, given.timeout, only) for e, r in sizes]
    growth(sizes, results)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
