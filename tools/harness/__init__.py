"""What tests, make bench and make run share.

micropython, tool, lines, awaited, ports  how processes are started, read and awaited
udp_relay                                 a network between them that counts, loses, and gives other ports
keys, certs                               of the tests under DTLS
processes, programs/                      a device and servers under MicroPython that are driven
board, ppp_peer, lan_peer, rp2040/        an emulated RP2040, its networks
from_factory                              its way from the factory
leshan, java/                             Eclipse Leshan

board runs before build/venv exists, with nothing but the standard library (make size BOARD=).
"""
