# What programs that are a server do: the examples of both packages.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

import sys

from .clients import load_der
from .texts import printable


def say(text):
    """Print a line, which may have in it what peers have sent."""
    print(printable(text))


def serve(make, port):
    """Run the server that make() gives until Ctrl-C. What is wrong is one line, and status 1."""
    try:
        server = make()
    except (OSError, ValueError) as e:
        say(e.args[-1])
        sys.exit(1)
    print("Listening on port %s" % port)
    try:
        server.step(-1)
    except KeyboardInterrupt:
        pass
    server.close()


def own(paths):
    """A server's settings for its own key, out of the paths of its DER files.

    A certificate, its key and the clients' CA; or a raw public key and its private key; or none.
    """
    if not paths:
        return {}
    name = "raw_public_key" if len(paths) == 2 else "certificate"
    return {name: [load_der(path) for path in paths]}


def on_refused(address, identity, text):
    say("A client with identity %s was refused: %s" % (identity, text))
