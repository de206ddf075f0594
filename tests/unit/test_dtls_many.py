# As many devices as a carrier has behind one address, and a server with DTLS.
# heapsize: 32M

from dtls_net import KEY, PSK, Client, Network


def test_a_thousand_devices_behind_one_address():
    # All of them begin at once. They repeat a ClientHello that finds no place, and who is given up
    # by its own time begins anew.
    network = Network(psk={b"device-1": KEY}, sessions=1000, half_open=250)
    waiting = {("nat", port): Client(network, ("nat", port), PSK) for port in range(1000)}
    up = 0

    def step():
        nonlocal up
        network.log.clear()
        for address in list(waiting):
            client = waiting[address]
            if client.events == ["up"]:
                waiting.pop(address)
                client.session.silent = True  # to the server it stays
                client.session.close()
                network.clients.pop(address)
                up += 1
            elif client.events:
                waiting[address] = Client(network, address, PSK)
        return not waiting

    network.repeat(step)
    assert up == 1000 and network.gone == []
