# The network, kept up: Wi-Fi or Ethernet (module lan), or PPP to a modem (module ppp), as the factory's
# settings say. An image has the module of what its board has.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Nothing here waits. What fails is tried again after 1 s, 2, 4, …, 300 s, a quarter more or less, for
# ever: a network that is away is no reason for a reset. The wait begins anew when the network was up
# for a minute.

from lwm2m.net import rng
from micropython import const
from ucoap.engine import diff

_MASK = const(0x3FFFFFFF)

_WAITING = const(0)
_STARTING = const(1)
_JOINING = const(2)
_UP = const(3)

_MAX_WAIT = const(300)  # s
_JOIN_MS = const(60000)  # to get an address
_STEADY_MS = const(60000)
_MAX_AWAY_MS = const(900000)

_MANAGEMENT = const(2)  # of Core.state
_REGISTERED = const(4)  # of Account.state
_UPDATING = const(5)


def find_driver(kind):
    """The class that drives a network of that type (a str): lan.Driver or ppp.Driver.

    Raises ValueError, in words, where this firmware has none.
    """
    try:
        if kind == "ppp":
            from device.ppp import Driver

            return Driver
        if kind == "wifi" or kind == "ethernet":
            from device.lan import Driver

            return Driver
    except ImportError:
        pass
    raise ValueError("this board's firmware has no network of type %s" % kind)


class Backoff:
    """Waits that grow: 1, 2, 4, …, 300 s; each is random within ±25 %, or a fleet would be in step.

    first: s, of the first wait.
    """

    def __init__(self, first=1):
        self._first = first
        self.reset()

    def reset(self):
        self._wait = self._first
        self.due = None  # ms; None for now

    def fail(self, now):
        """Something has failed at that time (ms, masked to 30 bits)."""
        ms = self._wait * 1000
        self.due = now + ms - ms // 4 + (ms * (rng() & 0x3FF) >> 11) & _MASK
        self._wait = min(self._wait * 2, _MAX_WAIT)

    def is_due(self, now):
        return self.due is None or diff(now, self.due) >= 0


class Gate:
    """Lets a client use the network, a Link, while that is up.

    What was away comes back to a whole fleet at once: a client then waits for a random part of the time
    that it was away, at most of 15 minutes. It goes on with its sessions, and tells so with an Update:
    only where it has another address now, and a session does not know it from there, it begins anew.
    """

    def __init__(self, client, link):
        self._client = client
        self._link = link
        self._up = None  # None before the first answer: there is no wait after a reset
        self._address = None  # when it was up last
        self._since = 0  # ms, when the network went
        self._due = None  # ms, when the client may be back; None where it is not kept away

    def poll(self, up, now):
        """Returns whether the client may run. now: ms, masked to 30 bits."""
        core = self._client.core
        if up != self._up:
            if self._due is None:
                if up:
                    self._address = self._link.address()
                elif self._up:
                    if core.context:
                        core.context.flush()
                    core.net.remove(core)
                    self._since = self._due = now
            elif up:
                away = min(diff(now, self._since), _MAX_AWAY_MS)
                self._due = now + (away * (rng() & 0x3FF) >> 10) & _MASK
            self._up = up
        if not up:
            if diff(now, self._since) > _MAX_AWAY_MS:  # a difference of times tells six days
                self._since = now - _MAX_AWAY_MS & _MASK
            return False
        if self._due is not None:
            if diff(now, self._due) < 0:
                return False
            self._due = None
            address = self._address
            self._address = self._link.address()
            for account in core.accounts:
                # Whether its server knows it from where it is now; then it is told so.
                if not _REGISTERED <= account.state <= _UPDATING or (
                    address != self._address and not getattr(account.connection, "roams", False)
                ):
                    self._client.offline()
                    break
                account.due = core.seconds
            if core.state != _MANAGEMENT:
                self._client.offline()
            self._client.online()
        return True


class Link:
    """Keeps the network up.

    values: the setting "network". network, machine: the modules of these names. refused: whether a
    modem's PIN was refused before; on_refused(): it is now. on_fault(exception): why an attempt failed.
    """

    def __init__(self, values, network, machine, refused=False, on_refused=None, on_fault=None):
        # These are the driver's, too.
        self.values = values
        self.network = network
        self.machine = machine
        self.refused = refused
        self.on_refused = on_refused
        self._on_fault = on_fault
        self._state = _UP if values["type"] == "none" else _WAITING
        self._backoff = Backoff()
        self._since = 0  # ms, of the state
        self._driver = None

    def nic(self):
        """What module network has for it, or None."""
        return self._driver and self._driver.nic

    def address(self):
        """The address of its interface, a str; empty where it does not tell one."""
        try:
            return self._driver.nic.ifconfig()[0]
        except Exception:  # there is none, or it has another way
            return ""

    def signal(self):
        """dBm of its radio; None where it does not tell."""
        try:
            return self._driver.nic.status("rssi")
        except Exception:  # there is no radio, or it is down
            return None

    def stop(self):
        """Switch the network off; poll() brings it up again."""
        if self._driver:
            self._driver.stop()
            self._enter(_WAITING, self._since)
            self._backoff.reset()

    def said(self):
        """What a modem has answered (bytes) to AT+CSQ and AT+COPS?, by these, where its chat asks."""
        return getattr(self._driver, "said", {})

    def poll(self, now):
        """Do what is due. Returns whether the network is up. now: ms, masked to 30 bits."""
        try:
            if self.values["type"] != "none":
                self._poll(now)
        except Exception as e:  # what drivers raise: OSError, RuntimeError, ValueError of a pin, …
            self._backoff.fail(now)
            self._enter(_WAITING, now)
            try:
                e = self._driver.explain(e)  # before it has forgotten
            except Exception:  # not every one can; and there may be none
                pass
            try:
                self._driver.stop()
            except Exception:
                pass
            if self._on_fault:
                self._on_fault(e)
        return self._state == _UP

    def _enter(self, state, now):
        self._state = state
        self._since = now

    def _poll(self, now):
        for_ms = diff(now, self._since)
        driver = self._driver
        if self._state == _WAITING:
            if not self._backoff.is_due(now):
                return
            if not driver:
                driver = self._driver = find_driver(self.values["type"])(self)
            driver.start()
            self._enter(_STARTING, now)
        if self._state == _STARTING:
            if driver.poll(now):
                self._enter(_JOINING, now)
        elif self._state == _JOINING:
            if driver.nic.isconnected():
                self._enter(_UP, now)
            elif for_ms >= _JOIN_MS:
                raise OSError(110)  # ETIMEDOUT
        elif not driver.nic.isconnected():
            if for_ms >= _STEADY_MS:
                self._backoff.reset()
            raise OSError(113)  # EHOSTUNREACH
        elif for_ms >= _STEADY_MS:
            self._since = now - _STEADY_MS & _MASK  # a difference of times tells six days
