metadata(description="LwM2M client: notifications kept while a server is away.", version="0.1.0")

require("lwm2m-observe")

package("lwm2m", opt=3)
