"""What the figures were measured on, without saying whose machine it is."""

import os
import platform
import statistics
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.ground import POSTGRES, SETTINGS


def facts() -> dict[str, Any]:
    """Cores, memory, versions, Postgres' settings, what a write to the disk costs, and how busy the machine is."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "postgres": POSTGRES,
        "postgres_settings": list(SETTINGS),
        "fsync_ms": fsync_milliseconds(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def fsync_milliseconds(times: int = 200) -> dict[str, float]:
    """What `fdatasync` of a freshly written page takes where the databases are: median and 99th percentile."""
    taken: list[float] = []
    with tempfile.NamedTemporaryFile() as file:
        for place in range(times):
            os.pwrite(file.fileno(), os.urandom(8192), place * 8192)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return {"median": round(statistics.median(taken), 3), "p99": round(taken[int(times * 0.99)], 3)}


def told(found: dict[str, Any]) -> str:
    """The facts in one sentence."""
    return (
        f"{found['date']}: {found['cores']} cores shared by load generator, service and database, "
        f"{found['memory_gb']} GB, {found['system']}, Python {found['python']}, Postgres {found['postgres']} with "
        f"{', '.join(found['postgres_settings'])}; fdatasync {found['fsync_ms']['median']} ms "
        f"(p99 {found['fsync_ms']['p99']} ms); load before: {found['load_before']}."
    )


def resident_megabytes(process: int) -> float:
    """What of a process is in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(process: int) -> float:
    """What a process has used of a core so far, its ended children included."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def family_megabytes(process: int) -> float:
    """What a process and its children have in memory, what they share counted once."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    total = 0.0
    for each in (str(process), *children):
        with suppress(FileNotFoundError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000
