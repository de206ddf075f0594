# Pin and UART of module machine as they are on an RP2040, for boards that are stood for: what is taken, and
# what is refused in which words, as ports/rp2/machine_pin.c and machine_uart.c of MicroPython 1.26 have it.


class Pin:
    IN, OUT, PULL_UP = 0, 1, 1

    def __init__(self, id, mode=None, pull=None):
        if not isinstance(id, int) or not 0 <= id < 30:
            raise ValueError("invalid pin")
        self.id = id


class UART:
    CTS, RTS = 1, 2
    opened = []

    def __init__(self, id, baudrate=115200, tx=None, rx=None, cts=None, rts=None, **more):
        if not 0 <= id < 2:
            raise ValueError("UART(%d) doesn't exist" % id)
        for n, (name, pin) in enumerate((("TX", tx), ("RX", rx), ("CTS", cts), ("RTS", rts))):
            if pin and (pin.id & 3 != n or (pin.id + 4 & 8) >> 3 != id):
                raise ValueError("bad %s pin" % name)
        self.opened.append(id)
