"""What tests, make bench and make run share: processes, ports, keys, and other projects' programs."""
