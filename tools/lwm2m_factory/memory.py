"""Whether a board has the memory for what it is to be given. That is known of one chip, by measurement.

ESP-IDF has 34,780 bytes left on an ESP32 with stock MicroPython 1.27 when a client without security is
registered over Wi-Fi. A handshake with certificates takes 30,600 of them, and MicroPython's own heap the
rest, in which the modules lie: neither role has ever registered so (boards/ESP32_GENERIC_LWM2M/deploy.md has the count).
"""

from . import FactoryError
from .config import Config

_CHIPS = ("ESP32", "ESP32-PICO-D4")  # as MicroPython calls those that are no S2, S3, C3, …
_PSRAM = 1 << 20  # bytes, of which a heap without PSRAM has less


def check(port: str, config: Config, status: dict) -> None:
    """FactoryError where the board at a port, by its status, cannot do with certificates."""
    has_room = (
        status["image"] == "ours"
        or (status["board"] or "").rpartition(" with ")[2] not in _CHIPS
        or (status.get("memory") or 0) >= _PSRAM
    )
    accounts = (*config.accounts, *config.given)
    if not has_room and any(each.table.security.mode == "certificate" for each in accounts):
        raise FactoryError(
            f"The board on {port} is an ESP32 with stock MicroPython and without PSRAM, which has too "
            "little memory for certificates: give it servers of another security mode, or take a board "
            "with PSRAM."
        )
