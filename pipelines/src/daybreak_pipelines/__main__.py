"""``python -m daybreak_pipelines`` is ``daybreak``."""

import sys

from daybreak_pipelines.cli import main

sys.exit(main())
