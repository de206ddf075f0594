# heapsize: 4M
# The codec against a table of messages, in both directions; see coap_vectors.py. The heap is for
# the option of 65,804 bytes.

import micropython
import ucoap
from coap_vectors import MALFORMED, MESSAGES, raw, value_bytes
from ucoap import Error, Message, Writer


def meaning(m):
    """What parse() has found, in the form of the table, all values bytes."""
    options = []
    for n in range(0, m.count, 3):
        at = m.options[n + 1]
        options.append((m.options[n], bytes(m.data[at : at + m.options[n + 2]])))
    return m.type, m.code, m.mid, m.token, options, bytes(m.data[m.payload :])


def in_bytes(row):
    type, code, mid, token, options, payload = row
    return type, code, mid, token, [(n, value_bytes(v)) for n, v in options], payload


def extra(n):
    """How many bytes beside the nibble a delta or a length takes."""
    return 0 if n < 13 else 1 if n < 269 else 2


def ends(row):
    """Where header and token, and each option end."""
    at = 4 + len(row[3])
    found = [at]
    last = 0
    for number, value in row[4]:
        at += 1 + extra(number - last) + extra(len(value)) + len(value)
        last = number
        found.append(at)
    return found


def test_there_are_enough_vectors():
    assert len(MESSAGES) >= 40
    assert len(MALFORMED) >= 35
    names = [row[0] for row in MESSAGES + MALFORMED]
    assert len(set(names)) == len(names)


def test_parse():
    m = Message()
    for name, text, row in MESSAGES:
        data = raw(text)
        assert m.parse(data) is True, name
        assert meaning(m) == in_bytes(row), (name, meaning(m))
        for number, value in row[4]:
            first = [v for n, v in row[4] if n == number]
            assert m.option(number) == value_bytes(first[0]), name
            if isinstance(value, int):
                assert m.uint(number) == value, name


def test_write():
    w = Writer(70000)
    for name, text, row in MESSAGES:
        type, code, mid, token, options, payload = row
        w.start(type, code, mid, token)
        for number, value in options:
            w.option(number, value)
        w.payload(payload)
        assert w.message() == raw(text), (name, w.message()[:40])


def test_cut_at_every_byte():
    # Whole options, or a payload that has begun, are a message too; what is between is not.
    m = Message()
    for name, text, row in MESSAGES:
        data = memoryview(raw(text))
        whole = in_bytes(row)
        options = whole[4]
        good = ends(whole)
        assert good[-1] + (1 + len(whole[5]) if whole[5] else 0) == len(data), name
        for n in range(len(data)):
            result = m.parse(data[:n])
            if n < 4:
                assert result is None, (name, n)
            elif n in good:
                assert result is True, (name, n)
                assert meaning(m) == whole[:4] + (options[: good.index(n)], b""), (name, n)
            elif n > good[-1] + 1:
                assert result is True, (name, n)
                assert meaning(m) == whole[:5] + (whole[5][: n - good[-1] - 1],), (name, n)
            else:
                assert result is False, (name, n)
                assert (m.type, m.mid) == (whole[0], whole[2]), (name, n)


def test_rubbish_behind():
    m = Message()
    for name, text, row in MESSAGES:
        data = raw(text)
        whole = in_bytes(row)
        for rubbish in (b"\xff", b"\xf0", b"\x0f\x00", b"\xd0", b"\x01", b"\xff\x2a", b"\x2a"):
            result = m.parse(data + rubbish)
            if whole[5]:  # it belongs to the payload
                assert result is True, (name, rubbish)
                assert meaning(m) == whole[:5] + (whole[5] + rubbish,), (name, rubbish)
            elif rubbish == b"\xff\x2a" and whole[1]:  # it is the payload
                assert result is True, (name, rubbish)
                assert meaning(m) == whole[:5] + (b"\x2a",), (name, rubbish)
            else:  # a marker alone, nibbles of 15, options without their values
                assert result is False, (name, rubbish)
                assert (m.type, m.mid) == (whole[0], whole[2]), (name, rubbish)


def test_malformed():
    m = Message()
    for name, text, result in MALFORMED:
        data = raw(text)
        assert m.parse(data) is result, name
        if result is False:
            assert m.type == data[0] >> 4 & 3, name
            assert m.mid == 1, name


def test_one_message_for_all():
    # Nothing of a message is left in the next one that is parsed into the same object.
    m = Message()
    rows = list(MESSAGES)
    for name, text, row in rows + rows[::-1]:
        m.parse(raw(MALFORMED[len(name) % len(MALFORMED)][1]))
        assert m.parse(raw(text)) is True
        assert meaning(m) == in_bytes(row), name
    assert len(m.options) == 3 * 32  # the longest list seen, and the longest there may be


def test_other_buffers():
    m = Message()
    data = raw("44 01 1234 deadbeef b1 33 ff 01")
    for buf in (data, bytearray(data), memoryview(data)):
        assert m.parse(buf) is True
        assert meaning(m) == (0, 1, 0x1234, b"\xde\xad\xbe\xef", [(11, b"3")], b"\x01")
        assert m.strings(11) == ["3"]


def test_no_memory_for_the_options():
    # The list of options may not be able to grow, at any of its entries.
    few = raw("40 01 0001 b1 61")
    many = raw("40 01 0001 b1 61 " + "01 62 " * 31)
    m = Message()
    m.parse(few)
    for n in (0, 1, 2, 3, 7):
        m.options = [0] * n
        micropython.heap_lock()
        try:
            m.parse(many)
            failed = False
        except MemoryError:
            failed = True
        finally:
            micropython.heap_unlock()
        assert failed
        assert m.parse(few) is True
        assert m.strings(11) == ["a"]
        assert m.parse(many) is True
        assert m.strings(11) == ["a"] + ["b"] * 31


def test_options_that_are_not_there():
    m = Message()
    m.parse(raw("40 01 0001 b1 61"))
    assert m.option(12) is None
    assert m.uint(12) is None
    assert m.find(12) == -1
    assert m.strings(15) == []
    # What an earlier message has left behind in the list does not count.
    m.parse(raw("40 01 0001 b1 61 11 28"))
    m.parse(raw("40 01 0001 b1 61"))
    assert m.uint(12) is None


def test_uints():
    m = Message()
    for text, value in (
        ("", 0),
        ("00", 0),  # leading zeros are to be taken (RFC 7252 3.2)
        ("000001", 1),
        ("ff", 255),
        ("ffffff", 0xFFFFFF),
        ("00000001", None),  # no uint option here has over 3 bytes
    ):
        data = raw(text)
        m.parse(raw("40 01 0001") + bytes((0x60 | len(data),)) + data)
        assert m.uint(6) == value, text


def test_strings():
    m = Message()
    m.parse(raw("40 01 0001 b1 61 00 02 c3a4"))
    assert m.strings(11) == ["a", "", "\xe4"]
    for bad in ("ff", "c3", "80", "e282"):
        data = raw(bad)
        m.parse(raw("40 01 0001 b1 61") + bytes((len(data),)) + data)
        try:
            m.strings(11)
            raise AssertionError(bad)
        except Error as e:
            assert e.code == 0x82 and e.text == "option 11 is not UTF-8", e.text


def test_writer_is_bounded():
    # The table again, in every buffer that is too small.
    for name, text, row in MESSAGES:
        type, code, mid, token, options, payload = row
        n = len(raw(text))
        for size in range(max(4 + len(token), n - 40), n):
            w = Writer(size)
            try:
                w.start(type, code, mid, token)
                for number, value in options:
                    w.option(number, value)
                w.payload(payload)
                raise AssertionError(name)
            except Error as e:
                assert e.code == 0xA0 and e.text == "message over %d bytes" % size
            assert len(w.buf) <= size, name


def test_writer_again():
    # A message that did not fit leaves nothing in the next one.
    w = Writer(16)
    w.start(0, 1, 1)
    w.option(60, 1)
    try:
        w.payload(b"x" * 20)
        raise AssertionError
    except Error:
        pass
    w.start(1, 2, 0x0203, b"\x09")
    w.option(1, "\xe4")
    assert w.message() == raw("51 02 0203 09 12 c3a4")


_LONG = b"x" * 1000


def test_writer_grows_to_the_longest():
    # And only then takes memory, beside the message's own.
    w = Writer(1152)
    for n in (1, 500, 1000, 20):
        w.start(0, 69, n, b"1234")
        w.payload(b"x" * n)
        assert len(w.message()) == 9 + n
    micropython.heap_lock()
    try:
        w.start(0, 69, 1, b"")
        w.payload(_LONG)
    finally:
        micropython.heap_unlock()
    assert len(w.buf) == 5 + len(_LONG)


def test_texts():
    assert ucoap.code_text(0x84) == "4.04"
    assert ucoap.code_text(0xA0) == "5.00"
    assert ucoap.code_text(0x5F) == "2.31"
    assert ucoap.code_text(0) == "0.00"
    assert ucoap.path_options("/rd/5a") == [(11, "rd"), (11, "5a")]
    assert ucoap.path_options("") == []
    assert ucoap.path_options("a=1&b=2", 15) == [(15, "a=1"), (15, "b=2")]
    e = Error(0x80, "why")
    assert (e.code, e.text, e.args) == (0x80, "why", (0x80, "why"))
    assert Error(0x84).text == ""
