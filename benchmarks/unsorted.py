"""`switchboard serve` with the sorting of the inbox switched off, to see what acknowledging costs by itself."""

import asyncio
import sys

from switchboard.cli import main
from switchboard.inbox.sort import Sorting


async def _rest(_: Sorting) -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    Sorting.run = _rest  # the webhooks stay where acknowledging has put them
    sys.argv[1:] = ["serve"]
    sys.exit(main())
