"""What the factory tool's tests share."""

from pathlib import Path

import pytest
from samples import make_authority


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    make_authority(tmp_path)
    return tmp_path
