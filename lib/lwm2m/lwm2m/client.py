# The client as applications hold it: the core with a clock, sockets and what the board knows.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import gc
import sys
import time
from micropython import const
from . import forget, optional

_MAX_ENDPOINT = const(252)  # with "ep=" it is one Uri-Query option of up to 255 bytes

# Modules of other packages, whose functions are methods of Client; most are the last one's.
_PARTS = const(("send", "queue", "accounts"))

# The year 2026: a clock that is earlier was not set since power came. Until it is, there is no /3/0/13.
_SET = const(1767225600)


class Client:
    """A LwM2M client, driven by step().

    endpoint: str, the Endpoint Client Name. on_event(event): core.Event; or None.
    net: what opens connections, shared by roles that are to run in one loop; a Net by default.
    device: {resource id: value} of /3/0, over what the board knows by itself; the functions of
        4 (Reboot) and 5 (Factory Reset) are called, without arguments, after the answer is sent.
    version: "1.0", "1.1" or "1.2", of LwM2M, that servers are told first. One that has it not (4.12)
        is told the one before.
    store: a Store, in which accounts outlast a reset; the changes that the calls below make, too.
    credentials: where keys are, other than with the accounts; module credentials says how.

    Wrong arguments of any call are ValueError, whose text starts with the code that the
    reference's call returns for it. What servers and the network do never raises. Where there
    is a store, OSError tells that it cannot be written. Whatever raises has changed nothing.
    """

    def __init__(
        self,
        endpoint,
        on_event=None,
        net=None,
        device=None,
        version="1.1",
        store=None,
        credentials=None,
    ):
        from lwm2m.core import Core
        from lwm2m.objects import acts

        good = isinstance(endpoint, str) and 0 < len(endpoint.encode()) <= _MAX_ENDPOINT
        for c in endpoint if good else ():
            good = good and c != " " and not acts(ord(c))
        if not good:
            raise ValueError("4.00 an endpoint name is a str of 1 to 252 bytes, no spaces")
        if version not in ("1.0", "1.1", "1.2"):
            raise ValueError("4.00 version is 1.0, 1.1 or 1.2")
        if not callable(on_event or print) or not isinstance(device or {}, dict):
            raise ValueError("4.00 on_event is a function, device a dict")
        if net is None:
            from lwm2m.net import Net

            net = Net()
        self.net = net
        self._clock = 0  # s, Current Time (/3/0/13) as a server set it, less the board's
        self._unset = False  # whether that one was not set then
        self._later = None  # executed by a server, to be done after the answer
        device = self._device(device or {}, store)
        self.core = Core(endpoint, net, on_event, net.rng, device, version)
        self.core.engine.on_exception = sys.print_exception
        self.core.objects[3].on_write = self._write_device
        if store or credentials:
            from lwm2m.context import Context

            self.core.context = Context(self.core, store, credentials)
            self.core.context.load()
        self.net.add(self.core)

    # --- The loop

    def step(self, seconds=0):
        """Run for that many seconds, an int; one pass where 0, for ever where negative.

        Returns NO_ERROR, or SERVICE_UNAVAILABLE as soon as every server has failed and no
        bootstrap server can take over; called again it starts afresh, after a wait that grows from
        1 s to 10 minutes.
        """
        if type(seconds) is not int:
            raise ValueError("4.00 seconds are an int")
        device = self.core.objects[3]
        if 13 not in device.instances[0] and unix_time() >= _SET:
            device.set(0, 13, self._time)
        status = self.net.step(self.core, seconds)
        if self._later:
            later = self._later
            self._later = None
            if self.core.context:
                self.core.context.flush()
            try:
                later()
            except Exception as e:
                self.core.engine.on_exception(e)
        return status

    def next_ms(self):
        """Milliseconds until step() has something to do if nothing comes from the network."""
        return self.net.next_ms(self.net.now())

    def stop(self):
        """Let the step() under way return; for a callback to call."""
        self.net.stop()

    def offline(self):
        """The network has gone: drop the connections, without a word. Until online(), step() runs
        only what else is on the net."""
        self.core.restart()
        if self.core.context:
            self.core.context.flush()
        self.net.remove(self.core)

    def online(self):
        """It is there again: let step() begin afresh."""
        self.net.add(self.core)

    def close(self, seconds=5):
        """De-register from every server and close the connections, when that is answered or after
        that many seconds. Not for a callback to call."""
        if type(seconds) is not int:
            raise ValueError("4.00 seconds are an int")
        core = self.core
        core.close(self.net.now())
        while core.leaving and seconds > 0:
            seconds -= 1
            self.net.step(core, 1)
        while core.leaving:
            core.disconnect(core.leaving.pop())
        self.offline()

    # --- Accounts

    def __getattr__(self, name):
        # Packages lwm2m-accounts, which a client whose accounts come from a store does without,
        # lwm2m-composite and lwm2m-queue.
        i = 0 if name == "send" else 1 if name in ("sleep_ms", "suspend", "resume") else 2
        package = _PARTS[i]
        module = optional(package)
        f = module and not name.startswith("_") and getattr(module, name, None)
        if not f:
            package = package if i else "composite"
            raise AttributeError(
                name if module else "%s: needs package lwm2m-%s" % (name, package)
            )
        if i == 2:
            forget("accounts")  # it is called a few times, at the start
        return lambda *args, **kwargs: f(self, *args, **kwargs)

    # --- Objects

    def add_object(self, obj):
        """Let servers see an Object."""
        if not hasattr(obj, "instances"):  # a class has none
            raise ValueError("4.00 it is no Object")
        if obj.id in self.core.objects:
            raise ValueError("4.06 object %d is there" % obj.id)
        self.core.objects[obj.id] = obj
        if self.core.context:
            self.core.context.adopt(obj)
        obj.on_change = self.core.changed
        self.core.changed(obj.id, -1, -1)

    def remove_object(self, oid):
        """Hide an object that add_object() has added."""
        if type(oid) is not int or oid < 4 or oid not in self.core.objects:
            raise ValueError("4.04 no object %s of yours" % (oid,))
        self.core.objects.pop(oid).on_change = None
        self.core.changed(oid, 0, -1)

    def _device(self, given, store):
        # What the board knows by itself; given values go before.
        implementation = sys.implementation
        values = {
            0: "MicroPython",
            1: getattr(implementation, "_machine", sys.platform),
            3: "%d.%d.%d" % implementation.version[:3],
            10: lambda: gc.mem_free() // 1024,
            12: lambda argument: self.core.objects[3].set(0, 11, {0: 0}),
            17: sys.platform,
            21: lambda: (gc.mem_free() + gc.mem_alloc()) // 1024,
        }
        if unix_time() >= _SET:
            values[13] = self._time
        try:
            from machine import reset

            values[4] = reset
        except ImportError:  # a host has no reset: Reboot answers 4.04, unless it is given
            pass
        if store:
            values[5] = lambda: self.core.context.factory_reset()  # noqa: PLW0108 - yet to be made
        values.update(given)
        for rid in (4, 5):
            if rid in values:
                values[rid] = self._deferred(values[rid])
        return values

    def _deferred(self, function):
        if not callable(function):
            raise ValueError("4.00 /3/0/4 and 5 are functions")

        def execute(argument):
            self._later = function
            self.net.stop()

        return execute

    def _write_device(self, iid, values):
        if 13 in values:
            now = unix_time()
            self._clock = values[13] - now
            self._unset = now < _SET
            self.core.objects[3].instances[0][13] = self._time

    def _time(self):
        now = unix_time()
        if self._unset and now >= _SET:  # by now it is, and knows better
            self._unset = False
            self._clock = 0
        # A server may set the last second that can be told, and clocks go on.
        return max(min(now + self._clock, 0xFFFFFFFF), 0)


def unix_time():
    # The board's clock, since 1970.
    return int(time.time()) + _EPOCH


# Seconds from 1970, where LwM2M counts from, to the port's own epoch.
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
