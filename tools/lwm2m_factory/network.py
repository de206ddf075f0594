"""The network of a board: [network] of the configuration."""

import ipaddress
import math
from typing import Annotated, Any, Dict, Iterator, List, Literal, Optional, Union

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from .faults import Fault
from .fields import Anything, Pin, Table, Text, must, says, size, whole, wrong


def _ipv4_fault(text: str) -> Optional[str]:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return 'must be an IPv4 address, such as "192.0.2.7".'
    return None


Ipv4 = Annotated[Text, must(_ipv4_fault)]


class Address(Table):
    """An address that the board has for good, of IPv4."""

    ip: Ipv4 = Field(description="the board's")
    mask: Ipv4 = Field(description='such as "255.255.255.0"')
    gateway: Ipv4 = Field(description="the router's")
    dns: Ipv4 = Field(description="the name server's")

    @field_validator("mask")
    @classmethod
    def _is_mask(cls, mask: str) -> str:
        try:
            ipaddress.IPv4Network(("0.0.0.0", mask))
        except ValueError:
            raise wrong('must be a mask, such as "255.255.255.0".') from None
        return mask

    @field_validator("gateway")
    @classmethod
    def _is_near(cls, gateway: str, info: ValidationInfo) -> str:
        if "ip" in info.data and "mask" in info.data:
            net = ipaddress.IPv4Network((info.data["ip"], info.data["mask"]), strict=False)
            if ipaddress.IPv4Address(gateway) not in net:
                raise wrong(f"is not in the board's network, {net}.")
        return gateway


# The tag is the place in the schema's oneOf.
Addresses = Annotated[
    Union[
        Annotated[
            Literal["dhcp"],
            says('must be "dhcp", or a table of ip, mask, gateway and dns.'),
            Tag("0"),
        ],
        Annotated[Address, Tag("1")],
    ],
    Discriminator(lambda value: "1" if isinstance(value, (dict, Address)) else "0"),
]


def _password_fault(text: str) -> Optional[str]:
    if 8 <= len(text.encode()) <= 63 or (
        len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)
    ):
        return None
    return "must have from 8 to 63 characters (WPA)."


class Wifi(Table):
    """Wi-Fi."""

    type: Literal["wifi"] = Field(description="which network it is")
    ssid: size(1, 32) = Field(description="the network's name")
    password: Optional[Annotated[Text, must(_password_fault)]] = Field(
        None, description="left out: an open network", repr=False
    )
    country: Optional[
        Annotated[
            str,
            Field(pattern="^[A-Z]{2}$"),
            says('must be two capital letters, such as "DE".'),
        ]
    ] = Field(None, description="whose rules of radio are kept")
    address: Addresses = Field("dhcp", description="or a table: ip, mask, gateway, dns")


_STEP = 'must be ["send", "expect", seconds].'


def _step(value: Any) -> list:
    if (
        isinstance(value, list)
        and len(value) == 3
        and [type(part) for part in value[:2]] == [str, str]
        and type(value[2]) in (int, float)
        and 0 < value[2] < math.inf
    ):
        return value
    raise wrong(_STEP)


Step = Annotated[
    list,
    PlainValidator(_step),
    WithJsonSchema(
        {
            "type": "array",
            "prefixItems": [
                {"type": "string"},
                {"type": "string"},
                {"type": "number", "exclusiveMinimum": 0},
            ],
            "minItems": 3,
            "maxItems": 3,
        }
    ),
]


def _login_fault(text: str) -> Optional[str]:
    # RFC 1334 2.2.1
    return None if len(text.encode()) <= 255 else "must have at most 255 bytes."


class Ppp(Table):
    """A modem at a UART."""

    type: Literal["ppp"] = Field(description="which network it is")
    uart: whole(0, 7) = Field(description="its number")
    tx: Optional[Pin] = Field(None, description="GPIO number")
    rx: Optional[Pin] = Field(None, description="GPIO number")
    rts: Optional[Pin] = Field(None, description="GPIO number")
    cts: Optional[Pin] = Field(None, description="GPIO number")
    baud: whole(1200, 4000000) = Field(115200, description="bits a second")
    apn: Optional[Text] = Field(None, description="the operator's access point name")
    pin: Optional[
        Annotated[str, Field(pattern="^[0-9]{4,8}$"), says("must be 4 to 8 digits, in quotes.")]
    ] = Field(None, description="the SIM's", repr=False)
    user: Optional[Annotated[Text, must(_login_fault)]] = Field(
        None, description="to whom the operator's network opens; left out: to anybody"
    )
    password: Optional[Annotated[str, must(_login_fault)]] = Field(
        None, description="of the user; left out: an empty one", repr=False
    )
    auth: Optional[Literal["pap", "chap"]] = Field(
        None, description='how the user is authenticated; left out: `"pap"`'
    )
    chat: Optional[List[Step]] = Field(
        None, description='what is said to the modem: [["AT", "OK", 2], …], with seconds to wait'
    )

    def told(self) -> dict:
        found = super().told()
        if "user" in found:
            found = {"password": "", "auth": "pap", **found}
        return found


class Ethernet(Table):
    """Ethernet; what else stands here is what network.LAN is told."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: Dict[str, Anything] = Field(init=False)

    type: Literal["ethernet"] = Field(description="which network it is")
    address: Addresses = Field("dhcp", description="or a table: ip, mask, gateway, dns")


class NoNetwork(Table):
    """A board that has its network otherwise, or none."""

    type: Literal["none"] = Field(description="which network it is")


def check(table: dict) -> Iterator[Fault]:
    """What is missing beside other fields. table: the configuration, as TOML has it."""
    inside = table.get("network")
    if isinstance(inside, dict) and inside.get("type") == "ppp" and "user" not in inside:
        for name in ("password", "auth"):
            if name in inside:
                yield ("network", name), "needs a user beside it."


Network = Annotated[Union[Wifi, Ppp, Ethernet, NoNetwork], Field(discriminator="type")]
