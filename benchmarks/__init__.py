"""What Switchboard costs, measured against what the same work costs without it.

Every benchmark is a file with `run(scale) -> Report`; `run.py` runs them, `python -m benchmarks.run --help` tells how.
They use the tests' stands: a real Postgres, a real Supabase-compatible server, the service as a process.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
