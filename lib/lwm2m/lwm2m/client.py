# The client as applications hold it: the core with a clock, sockets and what the board knows.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import gc
import sys
import time
from micropython import const
from .core import Core
from .objects import security_fault, server_id, split_uri

_BOOTSTRAP_ID = const(65535)
_SIX_DAYS_MS = const(0x20000000)  # that a difference of times can tell
_MAX_ENDPOINT = const(252)  # with "ep=" it is one Uri-Query option of up to 255 bytes


class Client:
    """A LwM2M client, driven by step().

    endpoint: str, the Endpoint Client Name. on_event(event): core.Event; or None.
    net: what opens connections, shared by roles that are to run in one loop; a Net by default.
    device: {resource id: value} of /3/0, over what the board knows by itself; the functions of
        4 (Reboot) and 5 (Factory Reset) are called, without arguments, after the answer is sent.
    version: "1.0" or "1.1", of LwM2M.
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
        good = isinstance(endpoint, str) and 0 < len(endpoint.encode()) <= _MAX_ENDPOINT
        for c in endpoint if good else ():
            good = good and ord(c) > 32 and ord(c) != 127
        if not good:
            raise ValueError("4.00 the endpoint name must be a str of 1 to 252 bytes, no spaces")
        if version not in ("1.0", "1.1"):
            raise ValueError("4.00 version must be 1.0 or 1.1")
        if net is None:
            from .net import Net

            net = Net()
        self.net = net
        self._clock = 0  # s, Current Time (/3/0/13) as a server set it, less the board's
        self._later = None  # executed by a server, to be done after the answer
        device = self._device(device or {}, store)
        self.core = Core(endpoint, net, on_event, net.rng, device, version)
        self.core.engine.on_exception = sys.print_exception
        self.core.objects[3].on_write = self._write_device
        if store or credentials:
            from .context import Context

            self.core.context = Context(self.core, store, credentials)
            self.core.context.load()
        self.net.add(self.core)

    # --- The loop

    def step(self, seconds=0):
        """Run for that many seconds; one pass where 0, for ever where negative.

        Returns NO_ERROR, or SERVICE_UNAVAILABLE as soon as every server has failed and no
        bootstrap server can take over; called again it starts afresh.
        """
        status = self.net.step(self.core, seconds)
        if self._later:
            later = self._later
            self._later = None
            later()
        return status

    def next_ms(self):
        """Milliseconds until step() has something to do if nothing comes from the network."""
        return self.net.next_ms(self.net.now())

    def stop(self):
        """Let the step() under way return; for a callback to call."""
        self.net.stop()

    def close(self):
        """De-register from every server and close the connections."""
        self.core.close(self.net.now())
        self.net.remove(self.core)

    # --- Accounts

    def servers(self):
        """The Short Server IDs of all accounts; 65535 is the bootstrap server's."""
        security = self.core.objects[0]
        return [server_id(security, iid) for iid in security.instances]

    def add_server(self, short_id, uri, mode, lifetime=0, queue=False, security=None):
        """Add a server account: factory bootstrap.

        short_id: Short Server ID, 1 to 65534. uri: coap:// or coaps://. mode: SEC_….
        lifetime: s, 0 for 86400. queue: tell the server that this client sleeps.
        security: {resource id: value} of /0/x/3 to 5, the keys, and 13 to 16: for
        SEC_PRE_SHARED_KEY {3: identity, 5: key}, for SEC_CERTIFICATE {3: certificate, 4: the
        server's or its CA's certificate, 5: private key}, bytes, the latter DER.
        """
        if not 0 < short_id < _BOOTSTRAP_ID:
            raise ValueError("4.03 a Short Server ID is from 1 to 65534")
        self.core.settle()
        if self._find(1, short_id) is not None:
            raise ValueError("4.03 there is a server %d" % short_id)
        if lifetime < 0:
            raise ValueError("4.00 a negative lifetime")
        accounts = self._with(uri, mode, {1: False, 10: short_id}, security)
        server = dict(self.core.objects[1].instances)
        iid = _free(server)
        binding = "UQ" if queue else "U"
        server[iid] = {0: short_id, 1: lifetime or 86400, 6: True, 7: binding}
        self.core.put({0: accounts, 1: server})
        self.core.account_changed(iid)

    def remove_server(self, short_id):
        """De-register from a server and forget it; 65535 stands for all of them."""
        if short_id == 0:
            raise ValueError("4.03 server 0 is reserved")
        self.core.settle()
        ids = [short_id]
        if short_id == _BOOTSTRAP_ID:
            server = self.core.objects[1]
            ids = [server_id(server, iid) for iid in server.instances]
        else:
            self._iid(1, short_id)
        self._remove(ids)
        for id in ids:
            self.core.account_removed(id, self.net.now())

    def add_bootstrap_server(self, uri, mode, security=None):
        """Add the account of the bootstrap server; there is one. security: as add_server()."""
        if not self.core.bootstrap:
            raise ValueError("5.01 this build lacks package lwm2m-bootstrap")
        if self.core.bootstrap.account_iid() >= 0:
            raise ValueError("4.03 there is a bootstrap server: remove it first")
        self.core.settle()
        self.core.put({0: self._with(uri, mode, {1: True}, security)})
        self.core.account_changed(None)

    def remove_bootstrap_server(self):
        """Forget the bootstrap server; a session with it is undone."""
        self._iid(0, _BOOTSTRAP_ID)
        self.core.account_removed(_BOOTSTRAP_ID, self.net.now())
        self._remove((_BOOTSTRAP_ID,))

    def set_hold_off(self, seconds):
        """Client Hold Off Time (/0/x/11): how long to wait before the Bootstrap-Request."""
        if seconds < 0:
            raise ValueError("4.00 a negative hold-off")
        self._set(0, _BOOTSTRAP_ID, {11: seconds})

    def set_server(self, short_id, values):
        """How to register with a server: {resource id: value} of /1/x/13 to 20.

        13 Registration Priority Order, none by default. 14 Initial Registration Delay Timer, s, 0.
        15 Registration Failure Block, False: whether a failure bars the servers behind it.
        16 Bootstrap on Registration Failure, True. 17 Communication Retry Count, 5.
        18 Communication Retry Timer, s, 60. 19 Communication Sequence Delay Timer, s, 86400.
        20 Communication Sequence Retry Count, 1.
        """
        for rid in values:
            if not 13 <= rid <= 20 or values[rid] < (rid == 17 or rid == 20):
                raise ValueError("4.00 /1/x/%d cannot be set to %s" % (rid, values[rid]))
        self.core.account_changed(self._set(1, short_id, values))

    def set_coap(self, short_id, ack_timeout_ms=2000, random_percent=150, retransmit=4):
        """ACK_TIMEOUT, ACK_RANDOM_FACTOR in percent and MAX_RETRANSMIT (RFC 7252 4.8) with a
        server; 65535 is the bootstrap server. The last wait must be under six days."""
        if ack_timeout_ms < 1 or random_percent < 100 or not 0 <= retransmit <= 10:
            raise ValueError("4.00 1 ms, 100 % and 0 retries are the least, 10 retries the most")
        if ack_timeout_ms * random_percent // 100 << retransmit >= _SIX_DAYS_MS:
            raise ValueError("4.00 the last wait must be under six days")
        self._iid(0, short_id)
        settings = ack_timeout_ms, random_percent, retransmit
        self.core.coap[short_id] = settings
        for account in self.core.accounts:
            if account.short_id == short_id:
                account.settings = settings

    def _find(self, oid, short_id):
        obj = self.core.objects[oid]
        for iid in obj.instances:
            if server_id(obj, iid) == short_id:
                return iid

    def _iid(self, oid, short_id):
        iid = self._find(oid, short_id)
        if iid is None:
            raise ValueError("4.04 there is no server %d" % short_id)
        return iid

    def _set(self, oid, short_id, values):
        # Set resources of a server's instance; returns its id.
        self._iid(oid, short_id)
        self.core.settle()
        iid = self._iid(oid, short_id)  # as it is where it was before a session
        instances = dict(self.core.objects[oid].instances)
        instances[iid] = dict(instances[iid])
        instances[iid].update(values)
        self.core.put({oid: instances})
        return iid

    def _remove(self, ids):
        changes = {}
        for oid in (0, 1):
            changes[oid] = instances = dict(self.core.objects[oid].instances)
            for id in ids:
                iid = self._find(oid, id)
                if iid is not None:
                    instances.pop(iid)
        self.core.put(changes)

    def _with(self, uri, mode, values, security):
        # The instances of the Security object with one more.
        if not isinstance(uri, str) or not split_uri(uri):
            raise ValueError("4.06 the URI must be coap[s]://host[:port]")
        values.update({0: uri, 2: mode, 3: b"", 4: b"", 5: b""})
        for rid in security or ():
            if not (3 <= rid <= 5 or 13 <= rid <= 16):
                raise ValueError("4.00 /0/x/%s is not for security" % rid)
            values[rid] = security[rid]
        keys = self.core.context and self.core.context.keys
        if keys:
            keys.refer(values)
        fault = security_fault(keys.resolve(values) if keys else values, self.net.modes)
        if fault:
            raise ValueError("4.06 " + fault)
        instances = dict(self.core.objects[0].instances)
        instances[_free(instances)] = values
        return instances

    # --- Objects

    def add_object(self, obj):
        """Let servers see an Object."""
        if obj.id in self.core.objects:
            raise ValueError("4.06 there is an object %d" % obj.id)
        self.core.objects[obj.id] = obj
        if self.core.context:
            self.core.context.adopt(obj)
        obj.on_change = self.core.changed
        self.core.changed(obj.id, 0, -1)

    def remove_object(self, oid):
        """Hide an object that add_object() has added."""
        if oid in (0, 1, 3) or oid not in self.core.objects:
            raise ValueError("4.04 there is no object %d of yours" % oid)
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
            13: lambda: int(time.time()) + _EPOCH + self._clock,
            17: sys.platform,
            21: (gc.mem_free() + gc.mem_alloc()) // 1024,
        }
        try:
            from machine import reset

            values[4] = reset
        except ImportError:  # a host has no reset: Reboot answers 4.04, unless it is given
            pass
        if store:
            values[5] = self._factory_reset
        values.update(given)
        for rid in (4, 5):
            if rid in values:
                values[rid] = self._deferred(values[rid])
        return values

    def _factory_reset(self):
        self.core.context.factory_reset()

    def _deferred(self, function):
        def execute(argument):
            self._later = function
            self.net.stop()

        return execute

    def _write_device(self, iid, rid, value):
        if rid == 13:
            self._clock = value - int(time.time()) - _EPOCH


# Seconds from 1970, where LwM2M counts from, to the port's own epoch.
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0


def _free(instances):
    iid = 0
    while iid in instances:
        iid += 1
    return iid
