"""``python -m moorage_cli``."""

from __future__ import annotations

import sys

from moorage_cli.main import main

sys.exit(main())
