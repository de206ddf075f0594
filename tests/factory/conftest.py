"""What the factory tool's tests begin with."""

from pathlib import Path

import pytest
from samples import make_authority


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder with a certification authority."""
    make_authority(tmp_path)
    return tmp_path
