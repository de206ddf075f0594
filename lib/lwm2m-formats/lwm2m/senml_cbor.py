# SenML in CBOR (RFC 8428 6), Content-Format 112, and 322 (RFC 8790).
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Whether an image has it is asked by importing it: what it needs comes when it is used.


def Sink(out, format=None):
    from .senml import Sink

    return Sink(out)


def Cursor(data, path, format=0):
    from .cbor import Reader
    from .senml import Cursor

    return Cursor(Reader(data), path, format)
