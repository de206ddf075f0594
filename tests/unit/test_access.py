# heapsize: 4M
#
# Access Control (LwM2M 1.1 8, E.3): which of two servers may do what, and where that is written.
# heapsize: 600K

import lwm2m
from boards import Board
from lwm2m.model import INT, E, Object, R, W
from ucoap import DELETE, GET, POST, PUT
from world import INSTANCE, Provisioner, Registrar, World, account, encode, instances, server

_OBSERVE = 6
_LINK = 40
_TLV = 11542

_UNAUTHORIZED = 0x81
_REFUSED = (_UNAUTHORIZED, "no right to do that")

READ, WRITE, EXECUTE, DELETE_IT, CREATE = 1, 2, 4, 8, 16


class _Case:
    """A client with object 1000 and its instance 7, registered with servers 1 and 2.

    access: the instances of /2 that it has from the factory; None: it has had one server only.
    """

    def __init__(self, access=None, **kwargs):
        self.executed = []
        self.object = Object(
            1000,
            (0, INT | R | W, 1, E, 2, INT | R),
            {7: {0: 5, 1: self.executed.append, 2: 6}},
            multiple=True,
        )
        self.world = World()
        self.one = Registrar(self.world)
        self.two = Registrar(self.world, 5002)
        self.client = self.world.client(**kwargs)
        self.client.add_object(self.object)
        self.access = self.client.core.objects[2]
        self.access.instances.update(access or {})
        self.client.add_server(1, "coap://server:5683", lwm2m.SEC_NONE, 300)
        if access is None:
            self.world.run(2)
        self.client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 300)
        assert self.world.run(5, lambda: self.one.location and self.two.location)
        self.world.run(2)

    def listed(self):
        """{(object, instance): (ACL, owner)}; each is there once."""
        values = list(self.access.instances.values())
        found = {(v[0], v[1]): (v[2], v[3]) for v in values}
        assert len(found) == len(values)
        return found

    def of(self, oid, iid):
        """The instance id of the instance of /2 for an instance."""
        for k in self.access.instances:
            values = self.access.instances[k]
            if values[0] == oid and values[1] == iid:
                return k

    def remove(self, short_id):
        self.client.remove_server(short_id)
        self.world.run(2)


def _for(acl, owner=1, oid=1000, iid=7):
    return {0: oid, 1: iid, 2: acl, 3: owner}


# --- Who may do what

_REQUESTS = (
    # method, path, payload, format, Accept, option, the right it needs, the code when it has it
    (GET, "/1000/7", b"", None, None, (), READ, 0x45),
    (GET, "/1000/7/0", b"", None, None, (), READ, 0x45),
    (GET, "/1000/7/0", b"", None, None, ((_OBSERVE, 0),), READ, 0x45),
    (GET, "/1000/7", b"", None, None, ((_OBSERVE, 0),), READ, 0x45),
    (GET, "/1000/7", b"", None, _LINK, (), 0, 0x45),
    (GET, "/1000", b"", None, _LINK, (), 0, 0x45),
    (PUT, "/1000/7/0", b"8", 0, None, (), WRITE, 0x44),
    (PUT, "/1000/7", encode({0: 8}), _TLV, None, (), WRITE, 0x44),
    (POST, "/1000/7", encode({0: 8}), _TLV, None, (), WRITE, 0x44),
    (POST, "/1000/7/1", b"", None, None, (), EXECUTE, 0x44),
    (DELETE, "/1000/7", b"", None, None, (), DELETE_IT, 0x42),
    (POST, "/1000", encode({9: {0: 8}}, INSTANCE), _TLV, None, (), CREATE, 0x41),
)


def test_each_right_by_itself():
    for request in _REQUESTS:
        method, path, payload, format, accept, more, right, code = request
        for bits in (0, 1, 2, 4, 8, 16, 15, 31, 31 - right):
            case = _Case({0: _for({2: bits}), 1: _for({2: bits}, 65535, iid=65535)})
            answer = case.two.ask(method, path, payload, format, accept, more)
            if right & bits == right:
                assert answer.code == code, (request, bits, answer.code)
            else:
                assert (answer.code, answer.text) == _REFUSED, (request, bits, answer.code)
                assert sorted(case.object.instances) == [7] and not case.executed
                assert case.object.get(7, 0) == 5 and len(case.access.instances) == 2
                assert answer.observe is None


def test_by_which_entry():
    # (the ACL, the owner, what server 1 may); what it says of others is of no interest.
    for acl, owner, rights in (
        ({}, 1, 15),  # the owner
        ({2: 1}, 1, 15),
        ({1: 1}, 1, 1),  # whom an entry binds too
        ({1: 0}, 1, 0),
        ({0: 0}, 1, 15),  # the default is not for it
        ({0: 1}, 1, 15),
        ({}, 2, 0),
        ({0: 5}, 2, 5),  # the default
        ({0: 5, 1: 2}, 2, 2),  # an entry goes before the default
        ({0: 5, 1: 0}, 2, 0),
        ({0: 5, 2: 15}, 2, 5),
        ({1: 31}, 2, 31),
        ({}, 65535, 0),
        ({0: 1}, 65535, 1),
        (None, 1, 0),  # there is no instance of /2
    ):
        case = _Case({0: _for({}, oid=3, iid=0) if acl is None else _for(acl, owner)})
        me = case.client.core.accounts[0]
        assert me.short_id == 1
        for right in (READ, WRITE, EXECUTE, DELETE_IT):
            may = case.client.core.may(me, 1000, 7, right)
            assert may == bool(rights & right), (acl, owner, right)
        code = 0x45 if rights & READ else _UNAUTHORIZED
        assert case.one.read("/1000/7/0").code == code, (acl, owner)
        # Nobody has a right to create, unless there is an instance that gives it.
        assert not case.client.core.may(me, 1000, 65535, CREATE)


def test_an_acl_is_optional():
    access = {0: {0: 1000, 1: 7, 3: 1}}
    case = _Case(access)
    assert case.one.read("/1000/7/0").text == "5"
    assert case.two.read("/1000/7/0").code == _UNAUTHORIZED


def test_create_is_of_the_object_and_has_a_default():
    for acl, code in (({0: 16}, 0x41), ({0: 16, 2: 0}, 0x81), ({1: 16}, 0x81), ({2: 15}, 0x81)):
        case = _Case({0: _for(acl, 65535, iid=65535)})
        answer = case.two.ask(POST, "/1000", encode({9: {0: 1}}, INSTANCE), _TLV)
        assert answer.code == code, acl


def test_a_read_of_an_object_leaves_out_what_may_not_be_read():
    case = _Case({0: _for({2: 1}), 1: _for({2: 14}, iid=8), 2: _for({0: 1}, iid=9)})
    for iid in (8, 9, 10):
        case.object.add(iid, {0: iid})
    both = encode({7: {0: 5, 2: 6}, 9: {0: 9}}, INSTANCE)
    assert case.two.read("/1000", _TLV).payload == both
    three = encode({7: {0: 5, 2: 6}, 8: {0: 8}, 9: {0: 9}}, INSTANCE)
    case.access.set(2, 3, 1)
    assert case.one.read("/1000", _TLV).payload == three


def test_presence_goes_before_a_right_and_a_right_before_what_can_be_done():
    case = _Case({0: _for({}, 1)})
    for method, path, code in (
        (GET, "/1000/8", 0x84),
        (GET, "/1000/7/9", 0x84),
        (GET, "/1000/7/1", 0x81),  # an executable resource
        (PUT, "/1000/7/2", 0x81),  # a read-only one
        (GET, "/3/0/0", 0x81),  # of which /2 says nothing
        (DELETE, "/3/0", 0x81),
    ):
        payload = b"1" if method == PUT else b""
        assert case.two.ask(method, path, payload, 0 if payload else None).code == code, path
    assert case.one.ask(PUT, "/1000/7/2", b"1", 0).code == 0x85


def test_a_body_in_blocks_is_refused_at_its_first():
    case = _Case({0: _for({}, 1)})
    case.world.datagrams = 0
    answer = case.two.ask(PUT, "/1000/7", encode({0: 8}) + bytes(3000), _TLV)
    assert (answer.code, answer.text) == _REFUSED
    assert case.world.datagrams == 2


def test_one_server_may_do_everything():
    for access in ({}, {0: _for({1: 0}, 65535)}):
        for method, path, payload, format, accept, more, _, code in _REQUESTS:
            case = _Case(dict(access))
            case.remove(2)
            assert case.one.ask(method, path, payload, format, accept, more).code == code, path


def test_one_server_is_not_told_of_access_control():
    world = World()
    registrar = Registrar(world)
    client = world.client()
    client.add_server(1, "coap://server:5683", lwm2m.SEC_NONE, 300)
    world.run(400)
    assert registrar.requests[0].payload == b'</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>'
    assert client.core.objects[2].instances == {}
    assert registrar.read("/2", _TLV).payload == b""


def test_accounts_count_not_who_is_registered():
    case = _Case({0: _for({}, 2), 1: _for({2: 15}, 2, 1, 1), 2: _for({1: 15}, 1, 1, 0)})
    assert case.one.execute("/1/1/4").code == _UNAUTHORIZED  # Disable
    assert case.two.execute("/1/1/4").code == 0x44
    assert case.world.run(5, lambda: not case.two.location)
    assert case.one.read("/1000/7").code == _UNAUTHORIZED
    assert case.one.ask(PUT, "/1/0/1", b"600", 0).code == 0x44
    case.client.add_server(3, "coap://nobody:5003", lwm2m.SEC_NONE, 300)
    case.client.set_server(3, {17: 1})
    case.world.run(200)
    assert case.world.last(lwm2m.EVENT_REG_FAILED).short_id == 3
    case.remove(2)
    assert len(case.client.core.accounts) == 2
    assert case.one.read("/3/0").code == _UNAUTHORIZED


# --- Where it is written


def test_nobody_is_locked_out_when_a_second_server_comes():
    case = _Case()
    assert case.listed() == {
        (2, 65535): ({}, 1),
        (1, 0): ({}, 1),
        (1, 1): ({}, 2),
        (3, 0): ({0: 1}, 1),
        (1000, 7): ({0: 1}, 1),
        (1000, 65535): ({1: 16}, 65535),
    }
    # Both are told of it, the second as it registers, and that once.
    links = ",".join("</2/%d>" % k for k in sorted(case.access.instances)).encode()
    assert links in case.one.requests[-1].payload and case.one.requests[-1].path == "/rd/1"
    assert links in case.two.requests[0].payload and len(case.two.requests) == 1
    # The first goes on as it was used to; the second reads, and has its own account.
    for method, path, payload, format, accept, more, _, code in _REQUESTS:
        assert _Case().one.ask(method, path, payload, format, accept, more).code == code, path
    assert case.two.read("/1000/7/0").text == "5"
    assert case.two.ask(PUT, "/1000/7/0", b"8", 0).code == _UNAUTHORIZED
    assert case.two.ask(PUT, "/1/1/1", b"600", 0).code == 0x44
    assert case.two.execute("/1/1/8").code == 0x44
    assert case.two.read("/1/0").code == _UNAUTHORIZED
    assert case.two.execute("/3/0/4").code == _UNAUTHORIZED
    # Until the first says otherwise.
    path = "/2/%d/2" % case.of(1000, 7)
    assert case.one.ask(PUT, path + "/2", b"3", 0).code == 0x84  # an entry that is not there
    assert case.one.ask(PUT, path, encode({2: {0: 1, 2: 3}}), _TLV).code == 0x44
    assert case.two.ask(PUT, "/1000/7/0", b"8", 0).code == 0x44
    assert case.one.ask(PUT, path + "/2", b"1", 0).code == 0x44
    assert case.two.ask(PUT, "/1000/7/0", b"8", 0).code == _UNAUTHORIZED


def test_asked_before_the_client_has_looked():
    # Between the application's call and the next step a request comes.
    case = _Case()
    case.remove(2)
    case.object.add(9, {0: 1})
    case.client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 300)
    assert case.one.ask(PUT, "/1000/9/0", b"8", 0).code == 0x44


def test_what_the_application_adds_later():
    case = _Case()
    case.object.add(8, {0: 1})
    case.client.add_object(Object(1001, (0, INT | R), {0: {0: 1}}))
    case.client.add_server(3, "coap://server:5003", lwm2m.SEC_NONE, 300)
    case.world.run(2)
    listed = case.listed()
    assert listed[1000, 8] == listed[1001, 0] == ({0: 1}, 1)
    assert listed[1, 2] == ({}, 3)
    assert (1001, 65535) not in listed  # no server creates any
    case.object.remove(8)
    assert (1000, 8) not in case.listed()
    # A policy from the factory or a bootstrap server is not added to.
    case = _Case({0: _for({2: 15})})
    case.object.add(8, {0: 1})
    case.world.run(2)
    assert case.access.instances == {0: _for({2: 15})}
    assert case.one.read("/1000/8").code == _UNAUTHORIZED


def test_what_a_server_creates_is_its_own():
    case = _Case({4: _for({2: 16}, 65535, iid=65535)})
    case.two.requests.clear()
    answer = case.two.ask(POST, "/1000", encode({0: 1}), _TLV)
    assert (answer.code, answer.location) == (0x41, "/1000/0")
    assert case.access.instances[0] == _for({2: 15}, 2, iid=0)
    answer = case.two.ask(POST, "/1000", encode({3: {0: 1}, 5: {0: 1}}, INSTANCE), _TLV)
    assert answer.code == 0x41
    case.world.run(1)
    assert b"</2/0>,</2/1>,</2/2>,</2/4>," in case.two.requests[-1].payload
    for iid in (0, 3, 5):
        assert case.listed()[1000, iid] == ({2: 15}, 2)
        path = "/1000/%d" % iid
        assert case.one.read(path).code == _UNAUTHORIZED
        assert case.two.ask(PUT, path + "/0", b"8", 0).code == 0x44
        assert case.two.ask(DELETE, path).code == 0x42
        assert (1000, iid) not in case.listed()
    assert list(case.access.instances) == [4]
    # What fails leaves nothing.
    assert case.two.ask(POST, "/1000", encode({7: {0: 1}}, INSTANCE), _TLV).code == 0x80
    assert case.two.ask(POST, "/1000", encode({9: {0: b"abc"}}, INSTANCE), _TLV).code == 0x80
    assert case.one.ask(POST, "/1000", encode({9: {0: 1}}, INSTANCE), _TLV).code == 0x81
    case.object.add(10, {0: 1})  # and this one is the application's
    case.world.run(1)
    assert list(case.access.instances) == [4]


def test_created_while_there_is_one_server():
    case = _Case()
    case.remove(2)
    assert case.one.ask(POST, "/1000", encode({9: {0: 1}}, INSTANCE), _TLV).code == 0x41
    assert case.listed()[1000, 9] == ({1: 15}, 1)
    world = World()  # where nothing is kept of rights yet, nothing is begun
    one = Registrar(world)
    client = world.client()
    client.add_object(Object(1000, (0, INT | R | W), multiple=True))
    client.add_server(1, "coap://server:5683", lwm2m.SEC_NONE, 300)
    world.run(2)
    assert one.ask(POST, "/1000", encode({9: {0: 1}}, INSTANCE), _TLV).code == 0x41
    assert client.core.objects[2].instances == {}


# --- Object 2 itself


def test_everybody_reads_it_and_its_owner_writes_it():
    case = _Case({0: _for({0: 1}, 1), 1: _for({}, 2, 3, 0), 2: _for({2: 31}, 65535, 1001, 0)})
    whole = {
        0: {0: 1000, 1: 7, 2: {0: 1}, 3: 1},
        1: {0: 3, 1: 0, 2: {}, 3: 2},
        2: {0: 1001, 1: 0, 2: {2: 31}, 3: 65535},
    }
    for registrar in (case.one, case.two):
        assert registrar.read("/2", _TLV).payload == instances(whole)
        assert registrar.read("/2/0/3").text == "1"
        assert registrar.ask(GET, "/2/2", accept=_LINK).code == 0x45
    for registrar, method, path, payload, code in (
        (case.two, PUT, "/2/0/3", b"2", 0x81),
        (case.two, PUT, "/2/0/2", {2: {2: 15}}, 0x81),
        (case.two, POST, "/2/0", {2: {2: 15}}, 0x81),
        (case.two, PUT, "/2/2/3", b"2", 0x81),  # a bootstrap server's
        (case.one, PUT, "/2/1/3", b"1", 0x81),
        (case.one, POST, "/2", {0: {0: 1000, 1: 7, 3: 1}}, 0x81),
        (case.one, DELETE, "/2/0", b"", 0x81),
        (case.one, POST, "/2/0/3", b"", 0x85),
        (case.one, PUT, "/2/0/0", b"3", 0x85),
        (case.one, PUT, "/2/0/1", b"3", 0x85),
        (case.one, PUT, "/2/0/3", b"65536", 0x80),
        (case.one, PUT, "/2/0/3", b"3", 0x80),  # no server
        (case.one, PUT, "/2/0/3", b"65535", 0x80),
        (case.one, PUT, "/2/0/2", {2: {2: 32}}, 0x80),
        (case.one, PUT, "/2/0/2", {2: {2: -1}}, 0x80),
        (case.one, PUT, "/2/0/2", {2: {3: 1}}, 0x80),  # no server
        (case.one, PUT, "/2/3", {2: {2: 1}, 3: 1}, 0x84),
    ):
        if isinstance(payload, dict):
            answer = registrar.ask(method, path, encode(payload), _TLV)
        else:
            answer = registrar.ask(method, path, payload, 0 if payload else None)
        assert answer.code == code, (method, path, payload, answer.code)
        assert case.access.instances == whole
    assert case.one.ask(PUT, "/2/0/3", b"3", 0).text == "there is no server 3"
    assert case.one.ask(POST, "/2/0", encode({2: {2: 2}}), _TLV).code == 0x44  # adds
    assert case.access.instances[0] == _for({0: 1, 2: 2}, 1)
    assert case.one.ask(PUT, "/2/0", encode({2: {2: 6}, 3: 2}), _TLV).code == 0x44  # gives away
    assert case.access.instances[0] == _for({2: 6}, 2)
    assert case.one.ask(PUT, "/2/0/3", b"1", 0).code == 0x81


def test_an_entry_for_a_server_that_is_to_come():
    case = _Case({0: _for({0: 1, 9: 3})})
    assert case.one.ask(POST, "/2/0", encode({2: {2: 1}}), _TLV).code == 0x44
    assert case.access.instances[0] == _for({0: 1, 2: 1, 9: 3})
    assert case.one.ask(PUT, "/2/0/2", encode({2: {9: 1}}), _TLV).code == 0x44
    assert case.one.ask(PUT, "/2/0/2", encode({2: {2: 1}}), _TLV).code == 0x44
    assert case.one.ask(PUT, "/2/0/2", encode({2: {9: 1}}), _TLV).code == 0x80
    assert case.access.instances[0] == _for({2: 1})


def test_it_cannot_be_removed():
    case = _Case({})
    for oid in (0, 1, 2, 3):
        try:
            case.client.remove_object(oid)
        except ValueError as e:
            assert str(e) == "4.04 no object %d of yours" % oid
        assert oid in case.client.core.objects


# --- Observations


def test_a_right_that_is_taken_pauses_an_observation():
    case = _Case({0: _for({2: 1}, 1)})
    answers = []
    case.two.start(GET, "/1000/7/0", callback=answers.append, more=((_OBSERVE, 0),))
    case.world.run(1)
    case.object.set(7, 0, 50)
    case.world.run(1)
    assert [answer.text for answer in answers] == ["5", "50"]
    assert case.one.ask(PUT, "/2/0/2", encode({2: {2: 0}}), _TLV).code == 0x44
    case.object.set(7, 0, 51)
    case.world.run(100)
    assert len(answers) == 2
    assert case.one.ask(PUT, "/2/0/2", encode({2: {2: 1}}), _TLV).code == 0x44
    case.object.set(7, 0, 52)
    case.world.run(1)
    assert answers[-1].text == "52" and answers[-1].code == 0x45
    assert answers[-1].observe > answers[1].observe


def test_what_is_left_of_an_observed_object():
    case = _Case({0: _for({2: 1}, 1), 1: _for({2: 1}, 1, iid=8)})
    case.object.add(8, {0: 8})
    answers = []
    case.two.start(GET, "/1000", accept=_TLV, callback=answers.append, more=((_OBSERVE, 0),))
    case.world.run(1)
    assert answers[-1].payload == encode({7: {0: 5, 2: 6}, 8: {0: 8}}, INSTANCE)
    case.access.set(0, 2, {2: 0})
    case.object.set(8, 0, 9)
    case.world.run(1)
    assert answers[-1].payload == encode({8: {0: 9}}, INSTANCE)


# --- Accounts that go


def test_what_a_server_leaves_behind():
    # LwM2M 1.1 E.1.3. Server 2 goes; 1 and 3 stay.
    access = {
        0: _for({1: 1, 2: 15, 3: 3}, 2, iid=1),  # 3 may write it, 1 may not
        1: _for({1: 10, 2: 15, 3: 3}, 2, iid=2),  # 1 may write and delete it
        2: _for({1: 1, 3: 1}, 2, iid=3),  # neither: the first
        3: _for({2: 15}, 2, iid=4),  # nobody else could reach it
        4: _for({0: 1}, 2, iid=5),  # everybody may read it
        5: _for({1: 1, 2: 31}, 3, iid=6),
        6: _for({}, 2, 3, 0),  # a server cannot delete it, so nor does its going
        7: _for({2: 16}, 65535, iid=65535),
        8: _for({1: 16, 2: 16}, 65535, 1001, 65535),
        9: _for({1: 1, 2: 15}, 2, 1, 1),  # its account
        10: _for({2: 1}, 1, 1, 0),
    }
    case = _Case(access)
    for iid in range(1, 7):
        case.object.add(iid, {0: iid})
    case.client.add_server(3, "coap://server:5003", lwm2m.SEC_NONE, 300)
    case.world.run(2)
    assert len(case.access.instances) == 11
    case.remove(2)
    assert case.access.instances == {
        0: _for({1: 1, 3: 3}, 3, iid=1),
        1: _for({1: 10, 3: 3}, 1, iid=2),
        2: _for({1: 1, 3: 1}, 1, iid=3),
        4: _for({0: 1}, 1, iid=5),
        5: _for({1: 1}, 3, iid=6),
        6: _for({}, 1, 3, 0),
        8: _for({1: 16}, 65535, 1001, 65535),
        10: _for({}, 1, 1, 0),
    }
    assert sorted(case.object.instances) == [1, 2, 3, 5, 6, 7]


def test_the_first_goes_and_another_comes():
    case = _Case()
    case.remove(1)
    case.client.add_server(4, "coap://server:5683", lwm2m.SEC_NONE, 300)
    case.world.run(2)
    assert case.listed() == {
        (2, 65535): ({}, 2),
        (1, 0): ({}, 4),
        (1, 1): ({}, 2),
        (3, 0): ({0: 1}, 2),
        (1000, 7): ({0: 1}, 2),
        (1000, 65535): ({2: 16}, 65535),
    }


# --- From a bootstrap server, and in flash


def _bootstrapped(access):
    world = World()
    one, two = Registrar(world), Registrar(world, 5002)
    provisioner = Provisioner(world)
    client = world.client()
    client.add_object(Object(1000, (0, INT | R | W), {7: {0: 5}}))
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    assert world.run(5, lambda: provisioner.requests)
    for path, values in (
        ("/0", instances({1: account(1), 2: account(2, "coap://server:5002")})),
        ("/1", instances({0: server(1), 1: server(2)})),
        ("/2", access and instances(access)),
    ):
        if values:
            assert provisioner.write(path, values).code == 0x44
    if access:
        assert provisioner.read("/2", _TLV).payload == instances(access)
    assert provisioner.finish().code == 0x44
    assert world.run(5, lambda: one.location and two.location)
    world.run(2)
    return world, client, one, two, provisioner


def test_bootstrap_write_of_a_policy():
    # ETS configuration C.14.
    access = {
        0: _for({1: 15}, 1, 1, 0),
        1: _for({2: 15}, 2, 1, 1),
        2: _for({1: 15, 2: 1}, 65535, 3, 0),
    }
    world, client, one, two, provisioner = _bootstrapped(access)
    assert one.count == two.count == 1  # 950: one Register each
    links = b"</1/0>,</1/1>,</2/0>,</2/1>,</2/2>,</3/0>,</1000/7>"
    assert one.requests[0].payload.endswith(links) and two.requests[0].payload.endswith(links)
    assert client.core.objects[2].instances == access
    for registrar, path, code in (
        (one, "/1/0", 0x45),
        (one, "/1/1", 0x81),
        (two, "/1/1", 0x45),
        (two, "/1/0", 0x81),
        (one, "/3/0", 0x45),
        (two, "/3/0", 0x45),
        (one, "/1000/7", 0x81),  # nobody's
        (two, "/1000/7", 0x81),
    ):
        assert registrar.read(path).code == code, path
    assert one.ask(PUT, "/3/0/14", b"+02:00", 0).code == 0x44
    assert two.ask(PUT, "/3/0/14", b"+02:00", 0).code == 0x81
    # Another session takes the second server away.
    assert one.execute("/1/0/9").code == 0x44
    assert world.run(5, lambda: len(provisioner.requests) > 1)
    assert provisioner.delete("/0/2").code == 0x42 and provisioner.delete("/1/1").code == 0x42
    assert provisioner.finish().code == 0x44
    assert world.run(5, lambda: one.count == 2)
    world.run(2)
    assert client.core.objects[2].instances == {
        0: _for({1: 15}, 1, 1, 0),
        2: _for({1: 15}, 65535, 3, 0),
    }
    assert one.read("/1000/7").code == 0x45


def test_bootstrap_without_a_policy():
    world, client, one, two, _ = _bootstrapped(None)
    assert one.ask(PUT, "/1000/7/0", b"1", 0).code == 0x44
    assert two.ask(PUT, "/1000/7/0", b"1", 0).code == 0x81
    assert two.read("/1000/7/0").text == "1"


def test_what_a_bootstrap_server_cannot_write():
    world = World()
    provisioner = Provisioner(world)
    client = world.client()
    client.add_bootstrap_server("coap://bs:5783", lwm2m.SEC_NONE)
    assert world.run(5, lambda: provisioner.requests)
    for values in (
        {0: 3, 1: 0, 2: {1: 32}, 3: 1},
        {0: 3, 1: 0, 2: {1: -1}, 3: 1},
        {0: 3, 1: 65536, 3: 1},
        {0: -1, 1: 0, 3: 1},
        {0: 3, 1: 0, 3: 65536},
        {0: 3, 1: 0},
        {0: 3, 3: 1},
    ):
        assert provisioner.write("/2", instances({0: values})).code == 0x80, values
        assert client.core.objects[2].instances == {}


def test_it_outlasts_a_reset():
    def sensor():
        return Object(1000, (0, INT | R | W), {7: {0: 5}}, multiple=True)

    board = Board()
    client = board.power_on(sensor())
    two = Registrar(board.world, 5002)
    client.add_server(1, "coap://server:5684", lwm2m.SEC_NONE, 300)
    client.add_server(2, "coap://server:5002", lwm2m.SEC_NONE, 300)
    assert board.world.run(5, lambda: two.location and board.registrar.location)
    assert board.registrar.ask(PUT, "/2/4/2", encode({2: {2: 3}}), _TLV).code == 0x44
    board.world.run(15)
    kept = dict(client.core.objects[2].instances)
    assert kept[4] == _for({2: 3}, 1)
    seq = board.seq()
    client = board.power_on(sensor(), Object(1001, (0, INT | R), {0: {0: 1}}))
    assert client.core.objects[2].instances == kept
    two = Registrar(board.world, 5002)
    assert board.world.run(5, lambda: two.location and board.registrar.location)
    kept[6] = _for({0: 1}, 1, 1001, 0)  # what a newer firmware has beside it
    assert client.core.objects[2].instances == kept
    assert two.ask(PUT, "/1000/7/0", b"8", 0).code == 0x44
    board.world.run(15)
    assert board.seq() == seq + 1
    # An account that is removed is stored at once, and so is what that means.
    client.remove_server(2)
    board.world.run(1)
    client = board.power_on(sensor())
    assert client.core.objects[2].instances[4] == _for({}, 1)


def test_from_the_factory():
    access = {3: _for({1: 15, 2: 1}, 65535, 3, 0)}
    board = Board()
    accounts = {
        0: {0: account(1, "coap://server:5684"), 1: account(2, "coap://server:5002")},
        1: {0: server(1), 1: server(2)},
    }
    state = dict(accounts)
    state[2] = access
    board.store.provision("dev", state)
    client = board.power_on()
    two = Registrar(board.world, 5002)
    assert board.world.run(5, lambda: two.location and board.registrar.location)
    assert client.core.objects[2].instances == access
    assert board.registrar.ask(PUT, "/3/0/14", b"+02:00", 0).code == 0x44
    assert two.ask(PUT, "/3/0/14", b"+02:00", 0).code == _UNAUTHORIZED
    assert two.read("/3/0/14").text == "+02:00"
    # It comes back with a factory reset; what was made of it meanwhile does not.
    client.remove_server(2)
    board.world.run(2)
    assert client.core.objects[2].instances == {3: _for({1: 15}, 65535, 3, 0)}
    assert board.registrar.execute("/3/0/5").code == 0x44
    client.step(1)
    assert client.core.objects[2].instances == access
    # A policy that cannot be is no use, and neither are the accounts with it.
    state = dict(accounts)
    state[2] = {3: _for({1: 32}, 1, 3, 0)}
    board.store.commit("dev", state)
    board.power_on()
    assert "/2/3/2 must be a whole number from 0 to 31" in board.texts()[0]


def test_two_instances_of_it_for_one_bind_both():
    case = _Case({0: _for({2: 3}), 1: _for({2: 5})})
    case.client.add_server(3, "coap://server:5003", lwm2m.SEC_NONE, 300)
    case.world.run(2)
    two = case.client.core.accounts[1]
    for right in (READ, WRITE, EXECUTE, DELETE_IT):
        assert case.client.core.may(two, 1000, 7, right) == (right == READ)
    case.access.set(0, 3, 2)
    case.access.set(0, 2, {})  # nobody but 2 has a right by both
    case.remove(2)
    assert case.of(1000, 7) is None and not case.object.instances
