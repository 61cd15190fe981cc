"""Makes the checkout importable and gives the environment its `switchboard` command, without building a package."""

import sys
import sysconfig
from pathlib import Path

root = Path(__file__).resolve().parents[1]
site = Path(sysconfig.get_path("purelib"))
(site / "switchboard.pth").write_text(f"{root / 'src'}\n", encoding="utf-8")
command = Path(sysconfig.get_path("scripts")) / "switchboard"
command.write_text(
    f"#!{sys.executable}\nimport sys\n\nfrom switchboard.cli import main\n\nsys.exit(main())\n", encoding="utf-8"
)
command.chmod(0o755)
