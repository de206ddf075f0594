# Wi-Fi and Ethernet, for module link.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors


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
