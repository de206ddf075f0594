"""Builds and drives Eclipse Leshan: a bootstrap server, a server and a client, on loopback, with and without DTLS.

    from harness.leshan import BOOTSTRAP_SERVER, SERVER_AND_CLIENT, Leshan

    Leshan.build()
    with Leshan(BOOTSTRAP_SERVER) as bs, Leshan(SERVER_AND_CLIENT) as dm:
        server = dm.call("start_server")             # {"port": …, "uri": "coap://127.0.0.1:…"}
        bs.call("start")
        bs.call("configure", endpoint="dev", config=accounts(server["uri"]))
        ...
        dm.wait_event("registered", endpoint="dev")
        dm.call("read", endpoint="dev", path="/3/0")["content"]

call() raises LeshanError if the harness answers with an error, e.g. when no response came.
wait_event() takes the first matching event out of what came and leaves the others. kill() is a server that is lost.

Values: an object is {"instance": {"resource": value}}, an instance {"resource": value}, a multiple resource
{"instance": value}; opaque is {"hex": "00ff"}, a time whole seconds, an object link "object:instance".
Formats by Leshan's names: TLV, SENML_CBOR, SENML_JSON, JSON, TEXT, OPAQUE, CBOR.
A response is {"code": "4.06", "name": "NOT_ACCEPTABLE", "diagnostic": …}, with "content", "content_format"
(the number), "links" (Discover) and "location" (Create) where there are such.

Keys and certificates (DER, private keys in PKCS#8) are hex everywhere, identities text.
Commands of both servers
  secure(endpoint, identity, key): only with that pre-shared key
  secure(endpoint, certificate=True): only with a certificate, whose common name is the endpoint
  secure(endpoint, public_key): only with that raw public key
  secure(endpoint): only without DTLS
      keep_sessions=True of the server: those that there are with the keys before go on

Commands of BOOTSTRAP_SERVER
  start(port=0, secure_port=0, certificate, private_key, trusted) → port, uri, secure_port, secure_uri.
      trusted: the certificate of the clients' CA. Without these three there are pre-shared keys only; with them raw
      public keys too, the server's being that of its certificate.
  configure(endpoint, config): the fields of Leshan's BootstrapConfig as JSON, byte arrays in hex: autoIdForSecurityObject,
      contentFormat (a name; left out, what pct asks for, else TLV), toDelete (paths), security, servers, acls (by
      instance id). accounts() makes the usual one. Fields of a security: uri, bootstrapServer, securityMode
      ("NO_SEC", "PSK", "RPK", "X509"), publicKeyOrId, serverPublicKey, secretKey, certificateUsage ("TRUST_ANCHOR_ASSERTION", …),
      sni, serverId, clientOldOffTime, bootstrapServerAccountTimeout;
      of a server: shortId, lifetime, defaultMinPeriod, defaultMaxPeriod, notifIfDisabled, binding (["U"]), … ;
      of an acl: objectId, objectInstanceId, acls ({short id: rights}), AccessControlOwner. None leaves a resource out.
      Operations go out in this order: Discover if autoIdForSecurityObject, deletes, security, servers, acls, Finish.
  sequence(endpoint, requests): instead of a configuration, requests as they are:
      {"operation": "discover" | "read" | "write" | "delete" | "finish", "path", "format", "value"}.
      Leshan itself discovers nothing deeper than an object; here it does.
      Finish follows by itself; after a refused "finish" the rest of the sequence goes out.
  forget(endpoint): an endpoint that has neither is refused with 4.00
  stop()
Events of BOOTSTRAP_SERVER
  session_initiated(endpoint, preferred_format), session_authorized(endpoint), session_unauthorized(endpoint),
  session_no_config(endpoint), request(endpoint, operation, path, format), response(the same, and the response),
  request_failed(the same, and cause), session_finished(endpoint), session_failed(endpoint, cause: NO_BOOTSTRAP_CONFIG,
  REQUEST_FAILED, FINISH_FAILED, CANCELLED, …)

Commands of SERVER_AND_CLIENT, for the server
  start_server(as start, and models=None) → as start. models: objects that Leshan has no definition of:
      {"3303": {"5700": "FLOAT R", "5605": "EXECUTE", "6": "STRING RW MULTIPLE"}}
  stop_server(), registrations() → list of what the event registered has
  read, observe(endpoint, path, format=None), discover, delete(endpoint, path), execute(endpoint, path, arguments=None),
  write(endpoint, path, value, partial=False, format=None), create(endpoint, path, resources | instances, format=None),
  write_attributes(endpoint, path, attributes="pmin=1&pmax=5"), cancel(endpoint, path, passive=False):
      → a response; each takes timeout_ms (60 s)
  read_composite, observe_composite(endpoint, paths, format="SENML_CBOR", accept="SENML_CBOR") → a response, whose
      content is {path: what is there}; write_composite(endpoint, values={path: value}, format);
      cancel_composite(endpoint, passive=False), of the one that there is
Events of the server
  registered(endpoint, id, port, lifetime, version, binding, queue_mode, links, attributes, replaces), updated(the same),
  unregistered(the same, expired, replaced), notification(endpoint, path, a response), observation_cancelled(path:
  by cancel(passive=True) or the end of a registration),
  composite_notification(endpoint, a response),
  notification_failed(cause), sent(endpoint, data: [{"time": s, or left out, "values": {path: value}}]), send_failed(cause)

Commands of SERVER_AND_CLIENT, for clients
  start_client(endpoint, bootstrap_uri | server_uri, security_instance=0, short_server_id=1, lifetime=300,
      preferred_format (left out: Leshan's default, SENML_CBOR; None: no pct), only_format, send_endpoint=True, retry_ms,
      identity, key | certificate, private_key, server_certificate | public_key, private_key, server_public_key: of the account)
  stop_client(endpoint, deregister=True), update_client(endpoint), bootstrap_client(endpoint, deregister=True),
  client_object(endpoint, object) → what the client holds, /0 too
  client_send(endpoint, paths, format="SENML_CBOR") → the response of the server that it is registered with
Events of clients, each with endpoint
  client_bootstrap_started, client_bootstrapped, client_registration_started, client_registered(uri, id),
  client_update_started, client_updated, client_deregistration_started, client_deregistered,
  client_bootstrap_failed, client_registration_failed, client_update_failed, client_deregistration_failed
      (code, diagnostic, cause), client_error(cause)
"""

import hashlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess

from builds.steps import BUILD, locked

from .awaited import PATIENCE_S
from .lines import Lines

BOOTSTRAP_SERVER = "bootstrap-server"
SERVER_AND_CLIENT = "server-and-client"

_SOURCES = pathlib.Path(__file__).with_name("java")
_JARS = _SOURCES / "jars.sha256"  # as sha256sum writes it in _BUILD: */lib/*.jar
_BUILD = BUILD / "leshan"
_MAIN = {BOOTSTRAP_SERVER: "BootstrapServer", SERVER_AND_CLIENT: "Main"}
_LOG_END = 40  # lines


class LeshanError(Exception):
    pass


def accounts(server_uri, bootstrap_uri=None, short_id=1, lifetime=300, keys=None, **config):
    """The usual BootstrapConfig: one server in /0/1 (/0/0 is the bootstrap server's) and /1/0.

    keys: fields of the security instance besides, such as securityMode; without them there is no security.
    """
    no_keys = {"securityMode": "NO_SEC"}
    security = {"1": {"uri": server_uri, "serverId": short_id, **(keys or no_keys)}}
    if bootstrap_uri:
        security["0"] = {
            "uri": bootstrap_uri,
            "bootstrapServer": True,
            **no_keys,
        }
    servers = {"0": {"shortId": short_id, "lifetime": lifetime}}
    return {"toDelete": ["/0", "/1"], "security": security, "servers": servers, **config}


def _need(program, package):
    if not shutil.which(program):
        raise LeshanError(
            "Leshan's tests need %s, which is not installed: apt-get install %s"
            % (program, package)
        )


def check_jars(folder):
    """LeshanError unless the jars that Maven has brought there are the listed ones, byte by byte.

    Maven itself compares them with checksums of the server that they come from.
    """
    listed = dict(line.split()[::-1] for line in _JARS.read_text().splitlines())
    there = {str(jar.relative_to(folder)): jar for jar in folder.glob("*/lib/*.jar")}
    for name in sorted(listed.keys() | there.keys()):
        if name not in there:
            raise LeshanError("Maven has not brought %s, which %s lists." % (name, _JARS.name))
        if hashlib.sha256(there[name].read_bytes()).hexdigest() != listed.get(name):
            raise LeshanError(
                "%s is not what %s says: not used. Where a version in a pom.xml was changed, write "
                "the list anew, in build/leshan: sha256sum */lib/*.jar" % (name, _JARS.name)
            )


def _end(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-_LOG_END:])


class Leshan:
    """One process of the harness, and what it says."""

    _numbers = itertools.count(1)  # a log for each process

    @staticmethod
    def build():
        """Compile the harness, once for every change of it. The first time Maven fetches Leshan."""
        _need("java", "default-jdk-headless")
        _need("mvn", "maven")
        digest = hashlib.sha256()
        for source in sorted(_SOURCES.rglob("*")):
            if source.suffix in (".java", ".xml", ".sha256"):
                digest.update(source.read_bytes())
        with locked("leshan"):
            Leshan._build(digest.hexdigest())

    @staticmethod
    def _build(state):
        stamp = _BUILD / "stamp"
        if stamp.exists() and stamp.read_text() == state:
            return
        shutil.rmtree(_BUILD, ignore_errors=True)
        _BUILD.mkdir(parents=True)
        command = ["mvn", "-B", "-q", "--strict-checksums", "-f", str(_SOURCES / "pom.xml")]
        goals = ["-DbuildDirectory=%s" % _BUILD, "compile", "dependency:copy-dependencies"]
        log = _BUILD / "maven.log"
        # Offline is quicker and enough once everything was fetched.
        for offline in (["-o"], []):
            with log.open("w") as out:
                if not subprocess.call(
                    [*command, *offline, *goals], stdout=out, stderr=subprocess.STDOUT
                ):
                    check_jars(_BUILD)
                    stamp.write_text(state)
                    return
        raise LeshanError("Maven could not build the harness for Leshan:\n%s" % _end(log))

    def __init__(self, module, log_level="warn"):
        self._module = module
        self._log_level = log_level  # "debug" shows what Leshan thinks
        self._answers = {}  # by id
        self._events = []  # not yet taken by wait_event, oldest first
        self._next_id = 0

    def __enter__(self):
        folder = _BUILD / self._module
        number = "%s-%d" % (os.environ.get("PYTEST_XDIST_WORKER", "gw"), next(self._numbers))
        self._log = _BUILD / ("%s-%s.log" % (self._module, number))
        # Started and stopped often, and busy for milliseconds: no optimising compiler, one collector thread.
        command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
        command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=" + self._log_level]
        command += ["-Dorg.slf4j.simpleLogger.showDateTime=true"]
        command += ["-cp", "%s/classes:%s/lib/*" % (folder, folder), _MAIN[self._module]]
        with self._log.open("w") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True
            )
        self._lines = Lines(self._process.stdout, self._take)
        self.wait_event("ready")
        return self

    def __exit__(self, kind, error, trace):
        try:
            self._process.stdin.close()  # at which the harness exits
        except BrokenPipeError:
            pass  # it has ended already
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._lines.join()
        self._process.stdout.close()

    def kill(self):
        """End the process at once, as a server is lost: no de-registration, no answers any more."""
        self._process.kill()
        self._process.wait()

    def _take(self, line):
        message = json.loads(line)
        if "event" in message:
            self._events.append(message)
        else:
            self._answers[message["id"]] = message

    def _fail(self, what):
        return LeshanError("%s\nEnd of Leshan's log:\n%s" % (what, _end(self._log)))

    def _wait(self, found, timeout, what):
        """What found() returns, as soon as it is true."""

        def seen():
            return "%s\nEnd of Leshan's log:\n%s" % (self._events, _end(self._log))

        return self._lines.wait(found, what, timeout, seen)

    def call(self, command, timeout=PATIENCE_S, **args):
        self._next_id += 1
        request_id = self._next_id
        line = json.dumps({"id": request_id, "command": command, **args})
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._fail("Leshan has ended, so %s cannot be sent." % command) from None
        message = self._wait(
            lambda: self._answers.pop(request_id, None), timeout, "an answer to " + command
        )
        if "error" in message:
            raise LeshanError("%s: %s" % (command, message["error"]))
        return message["answer"]

    def wait_event(self, kind, timeout=PATIENCE_S, predicate=None, **details):
        """The first event of this kind with these details, for which predicate(event) is true."""

        def found():
            for i, event in enumerate(self._events):
                if event["event"] == kind and all(
                    event.get(key) == value for key, value in details.items()
                ):
                    if predicate is None or predicate(event):
                        return self._events.pop(i)
            return None

        return self._wait(found, timeout, "the event %s %s" % (kind, details))

    def events(self, *kinds):
        """All events so far that wait_event did not take, of these kinds (or of any)."""
        with self._lines.changed:
            return [event for event in self._events if not kinds or event["event"] in kinds]

    def clear_events(self):
        with self._lines.changed:
            self._events.clear()
