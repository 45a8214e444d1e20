"""`python -m ctid` is the command `ctid`."""

import sys

from ctid.cli import main

sys.exit(main())
