# A client with objects of an application, registered with one server that observes them.

from ucoap import GET
from world import Registrar, World, account, server


class Case:
    def __init__(self, *objects, world=None):
        self.world = world or World()
        self.server = Registrar(self.world)
        self.client = self.world.client()
        for obj in objects:
            self.client.add_object(obj)
        self.client.core.objects[0].instances[0] = account(1)
        self.client.core.objects[1].instances[0] = server(1)
        assert self.world.run(5, lambda: self.server.location)
        self.world.run(1)
        self.answers = []

    def observe(self, path):
        self.server.start(GET, path, callback=self.answers.append, more=((6, 0),))
        assert self.world.run(5, lambda: self.answers)
        self.answers.clear()

    def text(self, path):
        answer = self.server.read(path)
        return answer.text if answer.code == 0x45 else answer.code
