metadata(
    description="LwM2M client: keys in a place of their own, such as a secure element.",
    version="0.1.0",
)

require("lwm2m-store")

package("lwm2m", opt=3)
