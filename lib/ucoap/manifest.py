metadata(description="CoAP for devices: codec and message exchange.", version="0.1.0")

package("ucoap", opt=3)
