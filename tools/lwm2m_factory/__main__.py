"""python -m lwm2m_factory, as the command lwm2m-factory."""

import sys

from .cli import main

sys.exit(main())
