# Wi-Fi and Ethernet, for module link.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

# What WLAN.status() tells, by the names that module network has on its port, in words.
# fmt: off
_REASONS = const((
    "STAT_NO_AP_FOUND", "Wi-Fi finds no such network",
    "STAT_WRONG_PASSWORD", "Wi-Fi password is wrong",
    "STAT_CONNECT_FAIL", "Wi-Fi access point refuses",
    "STAT_HANDSHAKE_TIMEOUT", "Wi-Fi handshake fails: is the password right?",
    "STAT_BEACON_TIMEOUT", "Wi-Fi access point is gone",
    "STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY", "Wi-Fi network has a security that this chip lacks",
    "STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD", "Wi-Fi network has too weak a security",
    "STAT_NO_AP_FOUND_IN_RSSI_THRESHOLD", "Wi-Fi network is too weak",
))
# fmt: on
_NO_ADDRESS = const(2)  # CYW43_LINK_NOIP, which has no name there


def mac():
    """The address (bytes) of the Wi-Fi interface. Raises whatever, where there is none."""
    from network import STA_IF, WLAN

    nic = WLAN(STA_IF)
    found = nic.config("mac")
    if not any(found):  # a Pico W's, until it was active
        nic.active(True)
        found = nic.config("mac")
        nic.active(False)
        if not any(found):
            raise OSError(19)  # ENODEV
    return found


class Driver:
    """Attempts to connect. link: a Link."""

    def __init__(self, link):
        self._link = link
        self.nic = None

    def start(self):
        """Begin an attempt."""
        values, network = self._link.values, self._link.network
        wifi = values["type"] == "wifi"
        if wifi:
            if values.get("country"):
                network.country(values["country"])
            self.nic = network.WLAN(network.STA_IF)
        else:
            self.nic = self.nic or self._ethernet()
        self.nic.active(True)
        address = values.get("address", "dhcp")
        if address != "dhcp":
            names = "ip", "mask", "gateway", "dns"
            self.nic.ifconfig(tuple([address[name] for name in names]))
        if wifi:
            if values.get("password"):
                self.nic.connect(values["ssid"], values["password"])
            else:
                self.nic.connect(values["ssid"])

    def poll(self, now):
        """Do what is due. Returns whether nic is there and connects."""
        return True

    def explain(self, e):
        """The exception that says more of why an attempt has failed than the Link's own."""
        network = self._link.network
        if (
            self._link.values["type"] == "wifi"
            and isinstance(e, OSError)
            and e.errno in (110, 113)
        ):
            status = self.nic.status()
            for i in range(0, len(_REASONS), 2):
                if status == getattr(network, _REASONS[i], None):
                    return OSError(_REASONS[i + 1])
            if status == _NO_ADDRESS and getattr(network, "STAT_IDLE", None) == 0:  # a Pico W's
                return OSError("Wi-Fi gets no address: does DHCP answer?")
        return e

    def stop(self):
        """End the attempt, or what it had led to."""
        # A driver that is left connecting refuses to begin again.
        if self.nic and self._link.values["type"] == "wifi":
            self.nic.disconnect()

    def _ethernet(self):
        # An ESP32 has LAN for all chips; an RP2040 has WIZNET5K. Settings are their arguments.
        settings, network, machine = self._link.values, self._link.network, self._link.machine
        values = {}
        for name in settings:
            value = settings[name]
            if name in ("mdc", "mdio", "reset", "power", "cs", "int", "ref_clk"):
                value = machine.Pin(value)
            elif name == "phy_type":
                value = getattr(network, "PHY_" + value)
            elif name == "spi":  # a list: number, and pins sck, mosi, miso
                sck, mosi, miso = [machine.Pin(n) for n in value[1:]]
                value = machine.SPI(value[0], sck=sck, mosi=mosi, miso=miso)
            elif name == "type" or name == "address":
                continue
            values[name] = value
        if hasattr(network, "WIZNET5K"):
            return network.WIZNET5K(values["spi"], values["cs"], values["reset"])
        return network.LAN(**values)
